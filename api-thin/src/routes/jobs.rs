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
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Path(shown): Path<Shown>,
) -> Result<Json<JobView>, Problem> {
    let id: JobId = shown.job.parse().map_err(|_| Problem::not_found())?;
    let queued = app.queue().lookup(who.tenant(), id).await;
    let catalog = who.stores.catalog();
    if let Some(record) = catalog.history(id).await? {
        return Ok(Json(JobView::ended(record)));
    }
    match queued {
        Ok(Some(status)) => Ok(Json(JobView::queued(status))),
        Ok(None) => Err(Problem::not_found()),
        Err(error) => Err(error.into()),
    }
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
