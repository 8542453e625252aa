use axum::extract::{Path, State};
use jobs::JobId;
use jobs::queue::{Cancelled, JobFilter};
use serde_json::json;

use super::job_filter::{Filter, OPEN};
use super::jobs::Shown;
use crate::accept::{Answer, job_location};
use crate::cancel::CallOff;
use crate::extract::{Caller, Json, ManageJobs, ManageTenant, Need, TenantCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// How many jobs one request calls off by a filter. For more it is sent again.
const AT_ONCE: usize = 5_000;

fn call_off<N: Need>(app: ApiState, who: &Caller<N>) -> CallOff {
    CallOff { app, stores: who.stores.clone(), tenant: who.tenant().clone() }
}

/// `DELETE …/jobs/{job}`: calls one job off.
pub(super) async fn one(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer, Problem> {
    let id = shown.id()?;
    let outcome = cancel(&app, &who, id).await?;
    let location = job_location(who.tenant(), id);
    Ok(Answer::accepted(json!({ "job_id": id, "location": location, "outcome": outcome })))
}

async fn cancel(app: &ApiState, who: &Caller<ManageJobs>, id: JobId) -> Result<&'static str, Problem> {
    let work = call_off(app.clone(), who);
    let asked = work.jobs(vec![id]).await;
    match asked.as_ref().map(|done| done.first().copied()) {
        Ok(Some(Cancelled::Now)) => return Ok("cancelled"),
        Ok(Some(Cancelled::Stopping)) => return Ok("stopping"),
        Ok(Some(Cancelled::Kept)) => return Ok("kept"),
        Ok(Some(Cancelled::NotFound) | None) | Err(_) => {}
    }
    if work.undelivered(id).await? {
        return Ok("cancelled");
    }
    asked?;
    let ended = app.queue().lookup(who.tenant(), id).await?.is_some()
        || who.stores.catalog().history(id).await?.is_some();
    if ended { Ok("ended") } else { Err(Problem::not_found()) }
}

/// `POST …/jobs/cancel`: calls the jobs off that match a filter.
pub(super) async fn matching(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer, Problem> {
    let filter = filter.read(OPEN)?;
    if filter == JobFilter::default() {
        let detail = "say which jobs: types, queues, states, created_before or created_after; \
                      /jobs/cancel-all calls off everything";
        return Err(Problem::new(Code::InvalidField, detail));
    }
    let mut jobs = app.queue().list(who.tenant(), &filter, 0, AT_ONCE + 1).await?;
    let more = jobs.len() > AT_ONCE;
    jobs.truncate(AT_ONCE);
    let done = call_off(app, &who).jobs(jobs.into_iter().map(|job| job.id).collect()).await?;
    let count = |wanted| done.iter().filter(|done| **done == wanted).count();
    Ok(Answer::accepted(json!({
        "cancelled": count(Cancelled::Now),
        "stopping": count(Cancelled::Stopping),
        "more": more,
    })))
}

/// `POST …/jobs/cancel-all`: calls off everything of the tenant, however much it is.
pub(super) async fn everything(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
) -> Result<Answer, Problem> {
    let report = call_off(app, &who).everything().await?;
    Ok(Answer::accepted(json!({ "cancelled": report.cancelled, "stopping": report.stopping })))
}
