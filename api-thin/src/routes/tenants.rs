//! Tenants: create, show, delete.

use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::envelope::EnqueueOptions;
use jobs::error::report;
use jobs::queue::{Flow, JobFilter, Kept, PartitionShare, QueueError};
use jobs::tenant::{TenantId, TenantStatus};
use jobs::types::DeprovisionTenant;
use jobs::{Job as _, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Acceptance, Accepted, Tenant};

use super::parameters::{invalid_field, text};
use super::plans::check_plan;
use crate::accept::{AcceptedTenant, IdempotencyKey, TenantRequest, accept_tenant, deliver};
use crate::answer::{Answer, Secret, Versioned, job_location};
use crate::problem::{Code, Problem};
use crate::request::{AnyMember, Caller, Json, OperatorCaller, TenantOperator, one_name};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// Generated if absent.
    #[schemars(with = "Option<TenantId>")]
    id: Option<String>,
    /// Display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// One of `/api/v1/plans`; that of newcomers by default, `TENANTRY_DEFAULT_PLAN`.
    plan: Option<String>,
}

/// `POST /api/v1/tenants`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: OperatorCaller,
    key: IdempotencyKey,
    Json(body): Json<NewTenant>,
) -> Result<Secret<Answer<AcceptedTenant>>, Problem> {
    let request = request(body, who.named_tenant.as_deref(), app.plans().newcomers())?;
    check_plan(&app, &request.plan)?;
    accept_tenant(&app, &who.maker, &key, request).await.map(Secret)
}

fn request(body: NewTenant, in_header: Option<&str>, newcomers: &str) -> Result<TenantRequest, Problem> {
    let id = one_name(body.id.as_deref().into_iter().chain(in_header)).map_err(|_| {
        Problem::new(Code::TenantConflict, "the tenant in the body and in X-Tenant-ID must be the same")
    })?;
    let id: Option<TenantId> =
        id.map(str::parse).transpose().map_err(|error| invalid_field("id", format!("{error}")))?;
    let name = text("name", body.name, 200)?;
    let plan = text("plan", body.plan.unwrap_or_else(|| newcomers.to_owned()), 63)?;
    Ok(TenantRequest { id, name, plan, founder: None, member: None })
}

/// `GET /api/v1/tenants/{tenant}`
pub(super) async fn show(who: Caller<AnyMember>) -> Result<Versioned<TenantView>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    Ok(Versioned { revision: tenant.revision, body: tenant.into() })
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(super) struct TenantView {
    id: TenantId,
    /// Display name.
    name: String,
    /// The label of its subdomain.
    slug: String,
    plan: String,
    status: TenantStatus,
    created_at: DateTime<Utc>,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, name, slug, plan, status, created_at, .. } = tenant;
        Self { id, name, slug, plan, status, created_at }
    }
}

/// `DELETE /api/v1/tenants/{tenant}`: close it, and empty every store of it.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: TenantOperator,
) -> Result<Answer<ClosedTenant>, Problem> {
    accept_tenant_delete(&app, who).await
}

/// How often others may close the same tenant in between before we give up.
const TRIES: u32 = 8;
/// How long a tenant's deletion waits for running jobs that received a stop signal.
const STOPPING: Duration = Duration::from_secs(3);

/// A tenant that was closed and is being emptied.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClosedTenant {
    /// The job that empties every store of it.
    job_id: JobId,
    /// URL of the job.
    location: String,
    tenant: TenantInStatus,
}

/// The lifecycle state of a tenant.
#[derive(Debug, Serialize, JsonSchema)]
struct TenantInStatus {
    id: TenantId,
    status: TenantStatus,
}

/// Closes the tenant at once, cancels its work, and enqueues the `tenant.deprovision` that empties every store of it.
/// For a tenant that is closed already, one more job is enqueued, whatever the state of the earlier one.
///
/// # Errors
/// When the tenant does not exist any more, or the catalog does not answer; the call may be repeated.
async fn accept_tenant_delete(app: &ApiState, who: TenantOperator) -> Result<Answer<ClosedTenant>, Problem> {
    let app = app.clone();
    // A task of its own: a client that hangs up must not leave a closed tenant behind that no job empties.
    let end = tokio::spawn(async move {
        for _ in 0..TRIES {
            if let Some(answer) = end(&app, &who).await? {
                return Ok(answer);
            }
        }
        Err(Problem::new(Code::UploadConflict, "others delete the same tenant").retry_after_s(1))
    });
    end.await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}

/// `None` when another request closed the tenant meanwhile, under a later epoch.
async fn end(app: &ApiState, who: &TenantOperator) -> Result<Option<Answer<ClosedTenant>>, Problem> {
    let tenant = who.context.tenant_id();
    let epoch = who.stores.lifecycle().tenant_close().await?.ok_or_else(Problem::not_found)?;
    app.directory().invalidate(tenant).await;
    who.stores.catalog().outbox_clear().await?;
    let running = cancel_work(app, tenant).await.unwrap_or_else(|error| {
        tracing::warn!(tenant.id = %tenant, error = report(&error),
            "the queue is away: what it has of the tenant is dropped job by job");
        false
    });
    let now = app.clock().now();
    let scheduled_at = running.then(|| now + STOPPING);
    let id = JobId::generate(now);
    let options = EnqueueOptions { id: Some(id), scheduled_at, ..EnqueueOptions::default() };
    let job = who.stamp_under(app, epoch, &DeprovisionTenant::default(), options)?;
    let acceptance = Acceptance { tenant_closed: Some(epoch), jobs: vec![job], ..Acceptance::default() };
    if who.stores.catalog().accept(&acceptance, now).await? != Accepted::New {
        return Ok(None);
    }
    deliver(app, &who.stores, acceptance.jobs).await;
    Ok(Some(Answer::new(ClosedTenant {
        job_id: id,
        location: job_location(tenant, id),
        tenant: TenantInStatus { id: tenant.clone(), status: TenantStatus::Deprovisioning },
    })))
}

/// Cancels the tenant's jobs in the queue and removes limits that would hold back its deprovisioning. Returns whether
/// some jobs still run.
async fn cancel_work(app: &ApiState, tenant: &TenantId) -> Result<bool, QueueError> {
    let report = app.queue().cancel_partition(tenant).await?;
    for kept in [Kept::Discarded, Kept::Quarantined] {
        app.queue().purge_where(tenant, kept, &JobFilter::default()).await?;
    }
    let free = PartitionShare {
        only_these_type_caps: true,
        paused: Some(false),
        suspended: Some(false),
        draining: Some(false),
        ..PartitionShare::usual()
    };
    app.queue().partition_set(tenant, free).await?;
    app.queue().partition_queue_set(tenant, DeprovisionTenant::QUEUE, Flow::Open).await?;
    Ok(report.stopping > 0)
}
