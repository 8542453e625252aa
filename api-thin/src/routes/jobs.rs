//! Jobs: the state of one and the reason it waits, counts by state, and a list of the open ones.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use jobs::queue::{
    Explanation, Inspected, JobFilter, JobState, JobSummary, QueueError, QueueStats, WaitsFor,
};
use jobs::tenant::KbId;
use jobs::{BatchId, JobId, JobKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{JobRecord, Progress, Redrives};

use super::job_filter::{
    NameOf, OPEN, asked_batch, asked_kb, check_names, lane_of, priorities_of, reach, states_of,
};
use super::parameters::{invalid_parameter, jobs_after, jobs_next, page_limit, parameter};
use crate::problem::Problem;
use crate::request::{AnyMember, Caller, Query, RequiredPermission};
use crate::state::ApiState;

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

/// `GET …/jobs/{job}`: the state of a job, from the queue while it has it, else from the history.
/// A job that was accepted while the queue does not answer is found in the outbox.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
    Path(shown): Path<Shown>,
) -> Result<Json<JobView>, Problem> {
    job_view(&app, &who, shown.id()?).await.map(Json)
}

/// A job within the reach of the caller's credentials.
///
/// # Errors
/// When there is none, or the queue or the catalog do not answer.
pub(super) async fn job_view(app: &ApiState, who: &Caller<AnyMember>, id: JobId) -> Result<JobView, Problem> {
    let tenant = who.tenant();
    let queued = explained(app, who, id).await;
    let catalog = who.stores.catalog();
    let record = catalog.history(id).await?.filter(|record| who.reaches(record.kb.as_ref()));
    let redrives = catalog.job_redrives(id).await?;
    let explained = queued.as_ref().ok().cloned().flatten();
    if let Some(view) = JobView::of(explained, record) {
        let said = app.queue().inspect(tenant, &[id]).await.ok().and_then(|mut said| said.pop().flatten());
        // May be lost at any time.
        let progress = who.stores.live().job_progress(id).await.ok().flatten();
        return Ok(JobView { progress, ..view.said_by(said.as_ref()).with_redrives(redrives) });
    }
    let accepted = catalog.outbox_job(id).await?.and_then(|wire| Inspected::read(tenant, &wire));
    if let Some(said) = accepted.filter(|said| who.reaches(said.kb.as_ref())) {
        return Ok(JobView::accepted(said));
    }
    Err(queued.map_or_else(Problem::from, |_| Problem::not_found()))
}

/// The queue's state of a job within the reach of the caller's credentials. A job of another knowledge base causes the
/// same reads as a job that does not exist.
async fn explained(
    app: &ApiState,
    who: &Caller<AnyMember>,
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
pub(super) async fn check_reach<N: RequiredPermission>(
    app: &ApiState,
    who: &Caller<N>,
    id: JobId,
) -> Result<(), Problem> {
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
    /// Only those of one of these priorities, separated by commas: `high`, `normal`, `low`, `background`.
    priority: Option<String>,
    /// Only those of this lane: `interactive` or `bulk`.
    #[schemars(with = "Option<super::enumerations::Lane>")]
    lane: Option<String>,
    /// Only those of this knowledge base.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// Only those that work on documents of this batch.
    #[schemars(with = "Option<BatchId>")]
    batch_id: Option<String>,
    /// Only those that were made at this moment or later.
    #[schemars(with = "Option<DateTime<Utc>>")]
    created_after: Option<String>,
    /// Only those that were made before this moment.
    #[schemars(with = "Option<DateTime<Utc>>")]
    created_before: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

impl Listing {
    async fn filter(&self, app: &ApiState, who: &Caller<AnyMember>) -> Result<JobFilter, Problem> {
        let list = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let states = list(&self.state);
        let states = states_of(states.iter().map(String::as_str), OPEN).map_err(|problem| {
            invalid_parameter(
                "state",
                &format!("{problem}; /dead-letters and /quarantine list what will not run"),
            )
        })?;
        let (kinds, queues) = (list(&self.kind), list(&self.queue));
        check_names(app, NameOf::Type, &kinds, |problem| invalid_parameter("type", &problem)).await?;
        check_names(app, NameOf::Queue, &queues, |problem| invalid_parameter("queue", &problem)).await?;
        let priorities = list(&self.priority);
        let priorities = priorities_of(priorities.iter().map(String::as_str))
            .map_err(|problem| invalid_parameter("priority", &problem))?;
        let lane = lane_of(self.lane.as_deref()).map_err(|problem| invalid_parameter("lane", &problem))?;
        let kb =
            asked_kb(app, who, self.kb_id.as_deref(), |problem| invalid_parameter("kb_id", &problem)).await?;
        let no_batch = |problem: String| invalid_parameter("batch_id", &problem);
        let batch = asked_batch(who, self.batch_id.as_deref(), no_batch).await?;
        let created_after = parameter("created_after", self.created_after.as_deref())?;
        let created_before = parameter("created_before", self.created_before.as_deref())?;
        let filter = JobFilter { states, kinds, queues, priorities, lane, kb, batch, ..JobFilter::default() };
        Ok(JobFilter { created_after, created_before, ..filter })
    }
}

/// `GET …/jobs`: the number of jobs by state, and a page of the open ones.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
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

/// The number of jobs by state, and some of the open ones.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobPage {
    #[serde(flatten)]
    counts: JobCounts,
    /// Fewer than asked for, even none, do not mean that there are no more.
    jobs: Vec<JobRow>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// A job as callers see it, in the words of the Open Job Spec, wherever it was found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(super) struct JobView {
    id: JobId,
    #[serde(rename = "type")]
    kind: Option<String>,
    queue: Option<String>,
    /// `interactive` or `bulk`: while interactive jobs of the tenant wait, bulk gets one turn in five. Null for a job
    /// that has left the queue.
    #[schemars(with = "Option<super::enumerations::Lane>")]
    lane: Option<&'static str>,
    kb_id: Option<KbId>,
    /// The batch whose documents it works on.
    batch_id: Option<BatchId>,
    /// The job that enqueued it.
    parent: Option<JobId>,
    /// The trace that it is in, in hexadecimal.
    trace_id: Option<String>,
    #[schemars(with = "super::enumerations::JobState")]
    state: String,
    /// Attempts that were begun and not interrupted.
    attempt: u32,
    /// How often it waited for a service or a store that was busy or away, which costs no attempt. 99 may mean more.
    waits: u32,
    created_at: Option<DateTime<Utc>>,
    /// When it becomes available, if it waits for its time.
    scheduled_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    error: Option<Fault>,
    /// Why a completed job had nothing to do, such as a redriven job whose work was done already.
    note: Option<Fault>,
    /// Set when it was redriven as a dead letter.
    redriven: Option<RedrivenView>,
    /// What its handler reported last, within the last ten minutes.
    progress: Option<Progress>,
    /// The conditions that the job waits for.
    waits_for: Vec<Wait>,
}

/// Notes that a job was redriven.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Redriven")]
struct RedrivenView {
    /// How often.
    times: u64,
    /// When last.
    last_at: DateTime<Utc>,
    /// The actor that redrove it last: `user:…`, `api_key:…` or `operator`.
    last_by: String,
}

/// Something that a job waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Wait {
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl From<WaitsFor> for Wait {
    fn from(wait: WaitsFor) -> Self {
        Self { code: wait.code(), text: wait.to_string() }
    }
}

/// Why a job failed, or the error of its last attempt.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobFault")]
pub(super) struct Fault {
    /// Stable: for programs.
    pub(super) code: String,
    pub(super) detail: String,
}

impl JobView {
    /// A job of which the queue or the history knows. While it is on its way the queue knows better, also of
    /// a job that was started again after it had ended.
    pub(super) fn of(queued: Option<Explanation>, record: Option<JobRecord>) -> Option<Self> {
        match (queued, record) {
            (Some(queued), Some(record)) if is_over(queued.status.state) => Some(Self::ended(record)),
            (Some(queued), _) => Some(Self::queued(queued)),
            (None, record) => record.map(Self::ended),
        }
    }

    fn queued(queued: Explanation) -> Self {
        let Explanation { status, waits_for } = queued;
        let waits = matches!(status.state, JobState::Scheduled | JobState::Retryable);
        let stays = matches!(status.state, JobState::Discarded | JobState::Quarantined);
        let kind = status.skill.split('@').next().filter(|kind| !kind.is_empty()).map(str::to_owned);
        Self {
            id: status.id,
            queue: kind.as_deref().and_then(queue_of).map(str::to_owned),
            lane: kind.is_some().then(|| status.lane.as_str()),
            kind,
            kb_id: None,
            batch_id: None,
            parent: None,
            trace_id: None,
            state: status.state.to_string(),
            attempt: status.attempts + u32::from(status.state == JobState::Active),
            waits: status.waits,
            created_at: status.id.created_at(),
            scheduled_at: status.at.filter(|_| waits),
            started_at: None,
            finished_at: status.at.filter(|_| stays),
            error: status.reason.map(|reason| Fault { code: reason.code, detail: reason.text }),
            note: None,
            redriven: None,
            progress: None,
            waits_for: waits_for.into_iter().map(Wait::from).collect(),
        }
    }

    /// A job that was accepted and that the queue does not have yet. Its envelope is shown, not trusted.
    pub(super) fn accepted(Inspected { envelope, kb }: Inspected) -> Self {
        Self {
            id: envelope.id,
            kind: Some(envelope.kind),
            queue: Some(envelope.queue),
            lane: Some(envelope.meta.lane.as_str()),
            kb_id: kb,
            batch_id: envelope.meta.batch,
            parent: envelope.meta.parent,
            trace_id: Some(envelope.meta.traceparent.trace_id().to_owned()),
            state: JobState::Available.to_string(),
            attempt: 0,
            waits: 0,
            created_at: Some(envelope.meta.created_at),
            scheduled_at: envelope.scheduled_at,
            started_at: None,
            finished_at: None,
            error: None,
            note: None,
            redriven: None,
            progress: None,
            waits_for: vec![Wait {
                code: "delivery",
                text: "the queue does not have the job yet: it is delivered when the queue answers"
                    .to_owned(),
            }],
        }
    }

    /// The view of a job whose envelope the queue still has. It is shown, not trusted.
    fn said_by(self, said: Option<&Inspected>) -> Self {
        let Some(Inspected { envelope, kb }) = said else { return self };
        let trace_id = Some(envelope.meta.traceparent.trace_id().to_owned());
        let (parent, batch_id) = (envelope.meta.parent, envelope.meta.batch);
        Self { kb_id: kb.clone(), batch_id, parent, trace_id, ..self }
    }

    /// The view of a job that was started again so often.
    pub(super) fn with_redrives(self, redrives: Option<Redrives>) -> Self {
        let of = |Redrives { times, last_at, last_by }| RedrivenView { times, last_at, last_by };
        Self { redriven: redrives.map(of), ..self }
    }

    fn ended(record: JobRecord) -> Self {
        let fault = record.error.map(|(code, detail)| Fault { code, detail });
        let (error, note) = if record.state == "completed" { (None, fault) } else { (fault, None) };
        Self {
            id: record.id,
            kind: Some(record.kind),
            queue: Some(record.queue),
            lane: None,
            kb_id: record.kb,
            batch_id: record.batch,
            parent: record.parent,
            trace_id: record.trace_id,
            state: record.state,
            attempt: record.attempts,
            waits: 0,
            created_at: Some(record.created_at),
            scheduled_at: None,
            started_at: record.started_at,
            finished_at: Some(record.finished_at),
            error,
            note,
            redriven: None,
            progress: None,
            waits_for: Vec::new(),
        }
    }
}

fn is_over(state: JobState) -> bool {
    use JobState::{Cancelled, Completed, Discarded, Quarantined};
    matches!(state, Completed | Cancelled | Discarded | Quarantined)
}

fn queue_of(kind: &str) -> Option<&'static str> {
    JobKind::ALL.iter().find(|known| known.as_str() == kind).map(|known| known.policy().queue)
}

/// A job in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedJob")]
pub(super) struct JobRow {
    id: JobId,
    #[serde(rename = "type")]
    kind: String,
    queue: String,
    #[schemars(with = "super::enumerations::JobState")]
    state: &'static str,
    /// `interactive` or `bulk`: while interactive jobs of the tenant wait, bulk gets one turn in five.
    #[schemars(with = "super::enumerations::Lane")]
    lane: &'static str,
    /// `high`, `normal`, `low` or `background`: among the tenant's jobs of its lane.
    #[schemars(with = "super::enumerations::Priority")]
    priority: &'static str,
    attempt: u32,
    created_at: DateTime<Utc>,
    kb_id: Option<KbId>,
    /// The batch whose documents it works on.
    batch_id: Option<BatchId>,
}

impl From<JobSummary> for JobRow {
    fn from(job: JobSummary) -> Self {
        let JobSummary { id, kind, queue, state, lane, priority, attempts, created_at, kb, batch, .. } = job;
        let attempt = attempts + u32::from(state == JobState::Active);
        let (state, lane, priority) = (state.as_str(), lane.as_str(), priority.as_str());
        Self { id, kind, queue, state, lane, priority, attempt, created_at, kb_id: kb, batch_id: batch }
    }
}

/// How many of a tenant's jobs are where, or of one knowledge base's.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobCounts {
    /// Null for one knowledge base of a tenant that has too many jobs to look at them all.
    counts: Option<ByState>,
    /// Null for one knowledge base.
    totals: Option<Totals>,
    /// Jobs that are available and that no live worker runs, by type and version.
    waiting_for_a_worker: BTreeMap<String, u64>,
}

/// The number of jobs by state.
#[derive(Debug, Serialize, JsonSchema)]
struct ByState {
    scheduled: u64,
    available: u64,
    active: u64,
    retryable: u64,
    parked: u64,
    discarded: u64,
    quarantined: u64,
}

/// The number of ended jobs by outcome, since the queue knows the tenant.
#[derive(Debug, Serialize, JsonSchema)]
struct Totals {
    completed: u64,
    cancelled: u64,
    discarded: u64,
    quarantined: u64,
}

impl JobCounts {
    /// The counts of the whole tenant.
    pub(super) fn of_tenant(stats: QueueStats) -> Self {
        let totals = Totals {
            completed: stats.completed_total,
            cancelled: stats.cancelled_total,
            discarded: stats.discarded_total,
            quarantined: stats.quarantined_total,
        };
        Self { totals: Some(totals), ..Self::of_kb(Some(stats)) }
    }

    /// Those of one knowledge base, if they were counted.
    pub(super) fn of_kb(stats: Option<QueueStats>) -> Self {
        let counts = stats.as_ref().map(ByState::of);
        let waiting_for_a_worker = stats.map(|stats| stats.undeclared).unwrap_or_default();
        Self { counts, totals: None, waiting_for_a_worker }
    }
}

impl ByState {
    fn of(stats: &QueueStats) -> Self {
        Self {
            scheduled: stats.scheduled,
            available: stats.available,
            active: stats.active,
            retryable: stats.retryable,
            parked: stats.parked,
            discarded: stats.discarded,
            quarantined: stats.quarantined,
        }
    }
}
