//! Tenants: create, show, delete.

use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::envelope::EnqueueOptions;
use jobs::error::report;
use jobs::plan::Plans;
use jobs::queue::{Flow, JobFilter, Kept, PartitionShare, QueueError};
use jobs::tenant::{TenantId, TenantStatus};
use jobs::types::DeprovisionTenant;
use jobs::{Job as _, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stores::model::{self, Acceptance, Accepted, Tenant, TenantStatistics};

use super::parameters::{description, invalid_field, megabytes, metadata, plan_in, present, text};
use super::plans::check_plan;
use crate::accept::{AcceptedTenant, IdempotencyKey, TenantRequest, accept_tenant, deliver};
use crate::answer::{Answer, Secret, Versioned, job_location};
use crate::problem::{Code, Problem};
use crate::request::{AnyMember, Caller, Json, OperatorCaller, TenantOperator, one_name};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// A UUID is made if absent.
    #[schemars(with = "Option<TenantId>")]
    id: Option<String>,
    /// The same as `id`.
    #[schemars(with = "Option<TenantId>")]
    tenant_id: Option<String>,
    /// Display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// One of `/api/v1/plans`; by default the one that `metadata.plan` names, else `standard`.
    plan: Option<String>,
    /// What people say of it: up to 2,000 characters.
    #[schemars(length(max = 2000))]
    description: Option<String>,
    /// What you want to keep with it: an object of up to 16 KiB.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
}

/// `POST /api/v1/tenants`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: OperatorCaller,
    key: IdempotencyKey,
    Json(body): Json<NewTenant>,
) -> Result<Secret<Answer<AcceptedTenant>>, Problem> {
    let request = request(body, who.named_tenant.as_deref(), who.by.to_string())?;
    check_plan(&app, &request.new.plan)?;
    accept_tenant(&app, &who.maker, &key, request).await.map(Secret)
}

fn request(body: NewTenant, in_header: Option<&str>, by: String) -> Result<TenantRequest, Problem> {
    let named = [body.id.as_deref(), body.tenant_id.as_deref(), in_header];
    let id = one_name(named.into_iter().flatten()).map_err(|_| {
        Problem::new(Code::TenantConflict, "the tenant in the body and in X-Tenant-ID must be the same")
    })?;
    let id: Option<TenantId> =
        id.map(str::parse).transpose().map_err(|error| invalid_field("id", format!("{error}")))?;
    let name = text("name", body.name, 200)?;
    let metadata = body.metadata.map(metadata).transpose()?.unwrap_or_default();
    let in_metadata = plan_in(&metadata)?;
    if let (Some(plan), Some(other)) = (body.plan.as_deref(), in_metadata)
        && plan != other
    {
        return Err(two_plans());
    }
    let plan = body.plan.as_deref().or(in_metadata).unwrap_or(Plans::USUAL).to_owned();
    let plan = text("plan", plan, 63)?;
    let description = body.description.map(description).transpose()?.unwrap_or_default();
    let new = model::NewTenant { name, plan, description, metadata, created_by: Some(by) };
    Ok(TenantRequest { id, new, founder: None, member: None })
}

/// Returned where `plan` and `metadata.plan` differ.
pub(super) fn two_plans() -> Problem {
    invalid_field("metadata.plan", "plan and metadata.plan must name the same plan".to_owned())
}

/// `GET /api/v1/tenants/{tenant}`
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
) -> Result<Versioned<TenantView>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    let (revision, id) = (tenant.revision, tenant.id.clone());
    // Credentials of one knowledge base do not see how much there is in the others.
    let statistics = if who.only_kb.is_none() {
        let mut found = app.directory().tenant_statistics(std::slice::from_ref(&id)).await?;
        found.remove(&id).map(StatisticsView::from)
    } else {
        None
    };
    Ok(Versioned { revision, body: TenantView { statistics, ..tenant.into() } })
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(super) struct TenantView {
    id: TenantId,
    /// The same as `id`.
    tenant_id: TenantId,
    /// Display name.
    name: String,
    /// The same as `name`.
    tenant_name: String,
    /// The label of its subdomain.
    slug: String,
    plan: String,
    status: TenantStatus,
    /// Whether its members may use it: neither suspended nor being deleted.
    is_active: bool,
    /// What people say of it.
    description: String,
    /// What was kept with it.
    metadata: Map<String, Value>,
    created_at: DateTime<Utc>,
    /// The actor that created it; null if that was not noted.
    created_by: Option<String>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
    #[serde(flatten)]
    pub(super) statistics: Option<StatisticsView>,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        let is_active = tenant.is_active();
        let Tenant { id, name, slug, plan, status, description, metadata, .. } = tenant;
        let Tenant { created_at, created_by, updated_at, .. } = tenant;
        Self {
            tenant_id: id.clone(),
            id,
            tenant_name: name.clone(),
            name,
            slug,
            plan,
            status,
            is_active,
            description,
            metadata,
            created_at,
            created_by,
            updated_at,
            statistics: None,
        }
    }
}

/// How much a tenant has. Left out of lists unless they are asked for it, and for credentials of one knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TenantStatistics")]
pub(super) struct StatisticsView {
    kb_count: u64,
    total_documents: u64,
    /// In mebibytes, what was extracted from the documents included.
    total_storage_mb: f64,
}

impl From<TenantStatistics> for StatisticsView {
    fn from(found: TenantStatistics) -> Self {
        let total_storage_mb = megabytes(found.storage_bytes);
        Self { kb_count: found.kbs, total_documents: found.documents, total_storage_mb }
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
