use axum::Json;
use axum::extract::{Path, State};
use jobs::JobId;
use jobs::queue::JobFilter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job_counts::JobCounts;
use super::job_filter::{OPEN, states_of};
use super::job_view::{JobRow, JobView};
use super::page::{invalid, next_offset, page_limit, page_offset};
use crate::extract::{Anyone, Caller, Query};
use crate::problem::Problem;
use crate::server::ApiState;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Shown {
    #[schemars(with = "JobId")]
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
    let redrives = catalog.job_redrives(id).await?;
    let explained = queued.as_ref().ok().cloned().flatten();
    if let Some(view) = JobView::of(explained, record) {
        return Ok(Json(view.with_redrives(redrives)));
    }
    if let Some(view) = catalog.outbox_job(id).await?.as_deref().and_then(JobView::accepted) {
        return Ok(Json(view));
    }
    Err(queued.map_or_else(Problem::from, |_| Problem::not_found()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those in one of these states, separated by commas.
    state: Option<String>,
    /// Only those of one of these types, separated by commas.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only those of one of these queues, separated by commas.
    queue: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
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
) -> Result<Json<JobPage>, Problem> {
    let (limit, offset) = (page_limit(asked.limit.as_deref())?, page_offset(asked.after.as_deref())?);
    let filter = asked.filter()?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = app.queue().list(who.tenant(), &filter, offset, wanted).await?;
    let next = next_offset(offset, limit, page.len());
    let counts = JobCounts::from(app.queue().stats(who.tenant()).await?);
    Ok(Json(JobPage { counts, jobs: page.into_iter().map(JobRow::from).collect(), next }))
}

/// How many jobs are in which state, and some of those that will still run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobPage {
    #[serde(flatten)]
    counts: JobCounts,
    jobs: Vec<JobRow>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
