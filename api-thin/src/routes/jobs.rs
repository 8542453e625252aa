use axum::Json;
use axum::extract::{Path, State};
use jobs::JobId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::job_view::JobView;
use crate::extract::{Anyone, Caller};
use crate::problem::Problem;
use crate::server::ApiState;

#[derive(Deserialize)]
pub(super) struct Shown {
    job: String,
}

/// `GET …/jobs/{job}`: where a job is, from the queue while it has it, else from what is kept of it.
/// A job that was accepted while the queue is away is found in the outbox.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Path(shown): Path<Shown>,
) -> Result<Json<JobView>, Problem> {
    let id: JobId = shown.job.parse().map_err(|_| Problem::not_found())?;
    let queued = app.queue().lookup(who.tenant(), id).await;
    let catalog = who.stores.catalog();
    let record = catalog.history(id).await?;
    let status = queued.as_ref().ok().cloned().flatten();
    if let Some(view) = JobView::of(status, record) {
        return Ok(Json(view));
    }
    if let Some(view) = catalog.outbox_job(id).await?.as_deref().and_then(JobView::accepted) {
        return Ok(Json(view));
    }
    Err(queued.map_or_else(Problem::from, |_| Problem::not_found()))
}

/// `GET …/jobs`: how many of the tenant's jobs are in which state.
pub(super) async fn counts(State(app): State<ApiState>, who: Caller<Anyone>) -> Result<Json<Value>, Problem> {
    let stats = app.queue().stats(who.tenant()).await?;
    Ok(Json(json!({
        "jobs": {
            "scheduled": stats.scheduled,
            "available": stats.available,
            "active": stats.active,
            "retryable": stats.retryable,
            "parked": stats.parked,
            "discarded": stats.discarded,
            "quarantined": stats.quarantined,
        },
        "totals": {
            "completed": stats.completed_total,
            "cancelled": stats.cancelled_total,
            "discarded": stats.discarded_total,
            "quarantined": stats.quarantined_total,
        },
        "waiting_for_a_worker": stats.undeclared,
    })))
}
