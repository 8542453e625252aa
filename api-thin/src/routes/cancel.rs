use axum::extract::{Path, State};
use jobs::JobId;
use jobs::queue::{Cancelled, JobFilter};
use schemars::JsonSchema;
use serde::Serialize;

use super::job_filter::{Filter, OPEN, reach};
use super::jobs::{Shown, check_reach};
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
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer<CancelledJob>, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    let outcome = cancel(&app, &who, id).await?;
    let location = job_location(who.tenant(), id);
    Ok(Answer::new(CancelledJob { job_id: id, location, outcome }))
}

async fn cancel(app: &ApiState, who: &Caller<ManageJobs>, id: JobId) -> Result<Outcome, Problem> {
    let work = call_off(app.clone(), who);
    let asked = work.jobs(vec![id]).await;
    match asked.as_ref().map(|done| done.first().copied()) {
        Ok(Some(Cancelled::Now)) => return Ok(Outcome::Cancelled),
        Ok(Some(Cancelled::Stopping)) => return Ok(Outcome::Stopping),
        Ok(Some(Cancelled::Kept)) => return Ok(Outcome::Kept),
        Ok(Some(Cancelled::NotFound) | None) | Err(_) => {}
    }
    if work.undelivered(id).await? {
        return Ok(Outcome::Cancelled);
    }
    asked?;
    let ended = app.queue().lookup(who.tenant(), id).await?.is_some()
        || who.stores.catalog().history(id).await?.is_some();
    if ended { Ok(Outcome::Ended) } else { Err(Problem::not_found()) }
}

/// `POST …/jobs/cancel`: calls the jobs off that match a filter.
pub(super) async fn matching(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer<CancelReport>, Problem> {
    let filter = filter.read(&app, &who, OPEN).await?;
    if filter == JobFilter::default() {
        let detail = "say which jobs: types, queues, states, kb_id, created_before or created_after; \
                      /jobs/cancel-all calls off everything";
        return Err(Problem::new(Code::InvalidField, detail));
    }
    let filter = reach(filter, &who);
    let (jobs, more) = app.queue().first_matching(who.tenant(), &filter, AT_ONCE).await?;
    let done = call_off(app, &who).jobs(jobs.into_iter().map(|job| job.id).collect()).await?;
    let count = |wanted| done.iter().map(|done| u64::from(*done == wanted)).sum();
    let (cancelled, stopping) = (count(Cancelled::Now), count(Cancelled::Stopping));
    Ok(Answer::new(CancelReport { cancelled, stopping, more: Some(more) }))
}

/// `POST …/jobs/cancel-all`: calls off everything of the tenant, however much it is.
pub(super) async fn everything(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
) -> Result<Answer<CancelReport>, Problem> {
    let report = call_off(app, &who).everything().await?;
    let (cancelled, stopping) = (report.cancelled, report.stopping);
    Ok(Answer::new(CancelReport { cancelled, stopping, more: None }))
}

/// What became of a job that was to be cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CancelledJob {
    job_id: JobId,
    /// Where the job is shown.
    location: String,
    outcome: Outcome,
}

/// What cancelling a job means for it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CancelOutcome")]
enum Outcome {
    /// It will not run.
    Cancelled,
    /// It runs, and is told to stop.
    Stopping,
    /// It is a dead letter or in quarantine: throw it away there.
    Kept,
    /// It was over already.
    Ended,
}

/// How many jobs were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CancelReport {
    /// Those that will not run.
    cancelled: u64,
    /// Those that run, and are told to stop.
    stopping: u64,
    /// Whether more match than one request cancels: send it again then.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
}
