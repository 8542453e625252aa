use std::time::Duration;

use jobs::Job as _;
use jobs::JobId;
use jobs::envelope::EnqueueOptions;
use jobs::error::report;
use jobs::queue::{Flow, JobFilter, Kept, QueueError, TenantShare};
use jobs::tenant::{TenantId, TenantStatus};
use jobs::types::DeprovisionTenant;
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{Acceptance, Accepted};

use super::answer::{Answer, job_location};
use super::deliver::deliver;
use crate::extract::TenantOperator;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// How often others may close the same tenant in between before we give up.
const TRIES: u32 = 8;
/// How long the end waits for jobs that run and were told to stop.
const STOPPING: Duration = Duration::from_secs(3);

/// A tenant that was closed and is being emptied.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClosedTenant {
    /// The job that empties every store of it.
    job_id: JobId,
    /// Where the job is shown.
    location: String,
    tenant: TenantInStatus,
}

/// Where a tenant is in its life.
#[derive(Debug, Serialize, JsonSchema)]
struct TenantInStatus {
    id: TenantId,
    status: TenantStatus,
}

/// Closes the tenant at once, calls its work off, and enqueues the `tenant.deprovision` that empties every store
/// of it. A tenant that is closed already gets one more job, whatever became of the one before.
///
/// # Errors
/// When the tenant is gone, or the catalog is away: ask again then.
pub async fn accept_tenant_delete(
    app: &ApiState,
    who: TenantOperator,
) -> Result<Answer<ClosedTenant>, Problem> {
    let app = app.clone();
    // A task of its own: a client that hangs up must not leave a closed tenant behind that nobody empties.
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

/// `None` when somebody else closed the tenant once more meanwhile.
async fn end(app: &ApiState, who: &TenantOperator) -> Result<Option<Answer<ClosedTenant>>, Problem> {
    let tenant = who.context.tenant_id();
    let epoch = who.stores.lifecycle().tenant_close().await?.ok_or_else(Problem::not_found)?;
    app.directory().invalidate(tenant).await;
    who.stores.catalog().outbox_clear().await?;
    let running = call_off(app, tenant).await.unwrap_or_else(|error| {
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

/// Cancels what the queue has of the tenant and lets nothing hold back what is to come. Returns whether some of
/// it runs.
async fn call_off(app: &ApiState, tenant: &TenantId) -> Result<bool, QueueError> {
    let report = app.queue().cancel_tenant(tenant).await?;
    for kept in [Kept::Discarded, Kept::Quarantined] {
        app.queue().purge_where(tenant, kept, &JobFilter::default()).await?;
    }
    let free = TenantShare {
        only_these_type_caps: true,
        paused: Some(false),
        suspended: Some(false),
        draining: Some(false),
        ..TenantShare::usual()
    };
    app.queue().tenant_set(tenant, free).await?;
    app.queue().tenant_queue_set(tenant, DeprovisionTenant::QUEUE, Flow::Open).await?;
    Ok(report.stopping > 0)
}
