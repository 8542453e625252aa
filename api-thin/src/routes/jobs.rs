use axum::Json;
use axum::extract::{Path, State};
use jobs::JobId;
use jobs::queue::{JobFilter, QueueStats};
use serde::Deserialize;
use serde_json::{Value, json};

use super::job_filter::{OPEN, states_of};
use super::job_view::{JobRow, JobView};
use super::page::{invalid, next_offset, page_limit, page_offset};
use crate::extract::{Anyone, Caller, Query};
use crate::problem::Problem;
use crate::server::ApiState;

#[derive(Deserialize)]
pub(super) struct Shown {
    job: String,
}

impl Shown {
    /// The job that a path names.
    pub(super) fn id(&self) -> Result<JobId, Problem> {
        self.job.parse().map_err(|_| Problem::not_found())
    }
}

/// `GET …/jobs/{job}`: where a job is, from the queue while it has it, else from what is kept of it.
/// A job that was accepted while the queue is away is found in the outbox.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Path(shown): Path<Shown>,
) -> Result<Json<JobView>, Problem> {
    let id = shown.id()?;
    let queued = app.queue().explain(who.tenant(), id).await;
    let catalog = who.stores.catalog();
    let record = catalog.history(id).await?;
    let explained = queued.as_ref().ok().cloned().flatten();
    if let Some(view) = JobView::of(explained, record) {
        return Ok(Json(view));
    }
    if let Some(view) = catalog.outbox_job(id).await?.as_deref().and_then(JobView::accepted) {
        return Ok(Json(view));
    }
    Err(queued.map_or_else(Problem::from, |_| Problem::not_found()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    queue: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

impl Listing {
    fn filter(&self) -> Result<JobFilter, Problem> {
        let list = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let states = list(&self.state);
        let states = states_of(states.iter().map(String::as_str), OPEN).map_err(|problem| {
            invalid("state", &format!("{problem}; /dead-letters and /quarantine list what will not run"))
        })?;
        Ok(JobFilter { states, kinds: list(&self.kind), queues: list(&self.queue), ..JobFilter::default() })
    }
}

/// `GET …/jobs`: how many of the tenant's jobs are in which state, and a page of those that will still run.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Query(asked): Query<Listing>,
) -> Result<Json<Value>, Problem> {
    let (limit, offset) = (page_limit(asked.limit)?, page_offset(asked.after.as_deref())?);
    let filter = asked.filter()?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = app.queue().list(who.tenant(), &filter, offset, wanted).await?;
    let next = next_offset(offset, limit, page.len());
    let rows: Vec<JobRow> = page.into_iter().map(JobRow::from).collect();
    let mut answer = counts(&app.queue().stats(who.tenant()).await?);
    answer["jobs"] = json!(rows);
    answer["next"] = json!(next);
    Ok(Json(answer))
}

fn counts(stats: &QueueStats) -> Value {
    json!({
        "counts": {
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
    })
}
