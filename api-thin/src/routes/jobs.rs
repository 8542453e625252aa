use axum::Json;
use axum::extract::{Path, State};
use jobs::JobId;
use jobs::queue::{Explanation, Inspected, JobFilter, QueueError};
use jobs::tenant::KbId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job_counts::JobCounts;
use super::job_filter::{OPEN, asked_kb, check_names, reach, states_of};
use super::job_view::{JobRow, JobView};
use super::page::{invalid, jobs_after, jobs_next, page_limit};
use crate::extract::{Anyone, Caller, Need, Query};
use crate::job_names::NameOf;
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
    let (id, tenant) = (shown.id()?, who.tenant());
    let queued = explained(&app, &who, id).await;
    let catalog = who.stores.catalog();
    let record = catalog.history(id).await?.filter(|record| who.reaches(record.kb.as_ref()));
    let redrives = catalog.job_redrives(id).await?;
    let explained = queued.as_ref().ok().cloned().flatten();
    if let Some(view) = JobView::of(explained, record) {
        return Ok(Json(view.with_redrives(redrives)));
    }
    let accepted = catalog.outbox_job(id).await?.and_then(|wire| Inspected::read(tenant, &wire));
    if let Some(said) = accepted.filter(|said| who.reaches(said.kb.as_ref())) {
        return Ok(Json(JobView::accepted(said)));
    }
    Err(queued.map_or_else(Problem::from, |_| Problem::not_found()))
}

/// What the queue knows of a job that the caller's credentials reach. About a job of another knowledge base it is
/// asked no more than about one that does not exist.
async fn explained(
    app: &ApiState,
    who: &Caller<Anyone>,
    id: JobId,
) -> Result<Option<Explanation>, QueueError> {
    if who.only_kb.is_none() {
        return app.queue().explain(who.tenant(), id).await;
    }
    let said = app.queue().inspect(who.tenant(), &[id]).await?.pop().flatten();
    if !said.is_some_and(|said| who.reaches(said.kb.as_ref())) {
        return Ok(None);
    }
    let explained = app.queue().explain(who.tenant(), id).await?;
    Ok(explained.map(Explanation::without_counts))
}

/// Refuses a job that credentials of one knowledge base do not reach, as if it did not exist. However that is found
/// out, the same is asked of the same stores.
pub(super) async fn check_reach<N: Need>(app: &ApiState, who: &Caller<N>, id: JobId) -> Result<(), Problem> {
    if who.only_kb.is_none() {
        return Ok(());
    }
    let catalog = who.stores.catalog();
    let queued = app.queue().inspect(who.tenant(), &[id]).await.map(|mut said| said.pop().flatten());
    let record = catalog.history(id).await?;
    let accepted = catalog.outbox_job(id).await?.and_then(|wire| Inspected::read(who.tenant(), &wire));
    let waiting = queued.as_ref().ok().and_then(Option::as_ref);
    let kbs =
        [waiting.and_then(|said| said.kb.as_ref()), accepted.as_ref().and_then(|said| said.kb.as_ref())];
    let ended = record.as_ref().and_then(|record| record.kb.as_ref());
    if kbs.into_iter().chain([ended]).flatten().any(|kb| who.reaches(Some(kb))) {
        return Ok(());
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
    /// Only those of this knowledge base.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

impl Listing {
    async fn filter(&self, app: &ApiState, who: &Caller<Anyone>) -> Result<JobFilter, Problem> {
        let list = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let states = list(&self.state);
        let states = states_of(states.iter().map(String::as_str), OPEN).map_err(|problem| {
            invalid("state", &format!("{problem}; /dead-letters and /quarantine list what will not run"))
        })?;
        let (kinds, queues) = (list(&self.kind), list(&self.queue));
        check_names(app, NameOf::Type, &kinds, |problem| invalid("type", &problem)).await?;
        check_names(app, NameOf::Queue, &queues, |problem| invalid("queue", &problem)).await?;
        let kb = asked_kb(app, who, self.kb_id.as_deref(), |problem| invalid("kb_id", &problem)).await?;
        Ok(JobFilter { states, kinds, queues, kb, ..JobFilter::default() })
    }
}

/// `GET …/jobs`: how many jobs are in which state, and a page of those that will still run.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Query(asked): Query<Listing>,
) -> Result<Json<JobPage>, Problem> {
    let limit = usize::try_from(page_limit(asked.limit.as_deref())?).unwrap_or(usize::MAX);
    let after = jobs_after(&app, who.tenant(), asked.after.as_deref())?;
    let filter = reach(asked.filter(&app, &who).await?, &who);
    let page = app.queue().list(who.tenant(), &filter, after.as_ref(), limit).await?;
    let counts = match &filter.kb {
        None => JobCounts::of_tenant(app.queue().stats(who.tenant()).await?),
        Some(kb) => JobCounts::of_kb(app.queue().stats_of_kb(who.tenant(), kb).await?),
    };
    let next = jobs_next(&app, who.tenant(), page.next);
    Ok(Json(JobPage { counts, jobs: page.jobs.into_iter().map(JobRow::from).collect(), next }))
}

/// How many jobs are in which state, and some of those that will still run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobPage {
    #[serde(flatten)]
    counts: JobCounts,
    /// Fewer than asked for, even none, do not mean that there are no more.
    jobs: Vec<JobRow>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
