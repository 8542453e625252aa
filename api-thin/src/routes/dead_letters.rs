//! Jobs that will not run by themselves: dead letters and quarantine; list, show, start again, purge.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use jobs::envelope::Envelope;
use jobs::queue::{Inspected, JobFilter, JobState, JobStatus, Kept, KeptEntry, Redriven};
use jobs::tenant::{KbId, TenantId};
use jobs::types::{BuildGraph, ExtractEntities, IngestDocument};
use jobs::{BatchId, DocumentId, Job as _, JobId, Priority};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stores::TenantStores;
use stores::model::{DocumentFault, DocumentStatus, JobMark};

use super::job_filter::{Filter, asked_batch, asked_kb, reach};
use super::jobs::{Fault, Shown, check_reach};
use super::parameters::{invalid_parameter, jobs_after, jobs_next, page_limit};
use crate::answer::{Answer, job_location};
use crate::problem::{Code, Problem};
use crate::request::{AnyMember, Caller, Json, ManageJobs, Query, RequiredPermission, SteerJobs};
use crate::state::ApiState;

const KEPT: &[JobState] = &[JobState::Discarded, JobState::Quarantined];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those of this knowledge base.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// Only those that work on documents of this batch.
    #[schemars(with = "Option<BatchId>")]
    batch_id: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/dead-letters`: jobs whose attempts are used up, newest first.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<KeptPage>, Problem> {
    page(&app, &who, Kept::Discarded, &asked).await
}

/// `GET …/quarantine`: jobs that may not run, newest first.
pub(super) async fn list_quarantine(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<KeptPage>, Problem> {
    page(&app, &who, Kept::Quarantined, &asked).await
}

async fn page(
    app: &ApiState,
    who: &Caller<AnyMember>,
    kept: Kept,
    asked: &Listing,
) -> Result<JsonAnswer<KeptPage>, Problem> {
    let limit = usize::try_from(page_limit(asked.limit.as_deref())?).unwrap_or(usize::MAX);
    let after = jobs_after(app, who.tenant(), asked.after.as_deref())?;
    let kb =
        asked_kb(app, who, asked.kb_id.as_deref(), |problem| invalid_parameter("kb_id", &problem)).await?;
    let no_batch = |problem: String| invalid_parameter("batch_id", &problem);
    let batch = asked_batch(who, asked.batch_id.as_deref(), no_batch).await?;
    let filter = reach(JobFilter { kb, batch, ..JobFilter::default() }, who);
    let page = app.queue().kept_page(who.tenant(), kept, &filter, after.as_ref(), limit).await?;
    let next = jobs_next(app, who.tenant(), page.next);
    Ok(JsonAnswer(KeptPage { jobs: page.jobs.into_iter().map(KeptRow::of).collect(), next }))
}

/// `GET …/dead-letters/{job}`: everything that is known of a dead letter or a quarantined job but its stamp.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<JsonAnswer<KeptView>, Problem> {
    let status = kept(&app, &who, shown.id()?).await?;
    let said = app.queue().inspect(who.tenant(), &[status.id]).await?.pop().flatten();
    Ok(JsonAnswer(KeptView::of(status, said)))
}

/// Where a job is that will not run by itself, if the credentials reach it.
async fn kept<N: RequiredPermission>(
    app: &ApiState,
    who: &Caller<N>,
    id: JobId,
) -> Result<JobStatus, Problem> {
    check_reach(app, who, id).await?;
    let status = app.queue().lookup(who.tenant(), id).await?;
    status.filter(|status| KEPT.contains(&status.state)).ok_or_else(Problem::not_found)
}

fn redrive(app: ApiState, who: &Caller<SteerJobs>) -> Redrive {
    let by = who.context.actor().to_string();
    Redrive { app, stores: who.stores.clone(), tenant: who.tenant().clone(), by }
}

/// `POST …/dead-letters/{job}/retry`: starts one again, with all its attempts.
pub(super) async fn retry(
    State(app): State<ApiState>,
    who: Caller<SteerJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer<Redelivery>, Problem> {
    let id = kept(&app, &who, shown.id()?).await?.id;
    match redrive(app, &who).jobs(vec![id]).await?.first() {
        Some(Redriven::Started) => {
            let location = job_location(who.tenant(), id);
            Ok(Answer::new(Redelivery { job_id: id, location }))
        }
        Some(Redriven::KeyTaken) => {
            let detail = "it can start when that job has ended, or when that one is cancelled";
            Err(Problem::new(Code::UniqueKeyTaken, detail))
        }
        Some(Redriven::NotFound) | None => Err(Problem::not_found()),
    }
}

/// Which of the two places a filter means: dead letters, unless it says `quarantined`.
async fn place<N: RequiredPermission>(
    app: &ApiState,
    who: &Caller<N>,
    filter: Filter,
) -> Result<(Kept, JobFilter), Problem> {
    let mut filter = reach(filter.read(app, who, KEPT).await?, who);
    let states = std::mem::take(&mut filter.states);
    match states.as_slice() {
        [] | [JobState::Discarded] => Ok((Kept::Discarded, filter)),
        [JobState::Quarantined] => Ok((Kept::Quarantined, filter)),
        _ => {
            let detail = "name one state: discarded or quarantined";
            Err(Problem::new(Code::InvalidField, detail).field("states"))
        }
    }
}

/// `POST …/dead-letters/retry`: starts those again that match a filter.
pub(super) async fn retry_matching(
    State(app): State<ApiState>,
    who: Caller<SteerJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer<RedriveReport>, Problem> {
    let (place, filter) = place(&app, &who, filter).await?;
    let ids = app.queue().kept_where(who.tenant(), place, &filter).await?;
    let done = redrive(app, &who).jobs(ids).await?;
    let count = |wanted| done.iter().filter(|done| **done == wanted).count();
    let (started, key_taken) = (count(Redriven::Started), count(Redriven::KeyTaken));
    Ok(Answer::new(RedriveReport { started, unique_key_taken: key_taken }))
}

/// `DELETE …/dead-letters/{job}`: throws one away.
pub(super) async fn purge(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<NoContent, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    documents_give_up(&app, &who, &[id]).await?;
    let purged = app.queue().purge(who.tenant(), id).await?;
    if purged { Ok(NoContent) } else { Err(Problem::not_found()) }
}

/// `POST …/dead-letters/purge`: throws those away that match a filter.
pub(super) async fn purge_matching(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<JsonAnswer<PurgeReport>, Problem> {
    let (place, filter) = place(&app, &who, filter).await?;
    for ids in app.queue().kept_where(who.tenant(), place, &filter).await?.chunks(STEP) {
        documents_give_up(&app, &who, ids).await?;
    }
    let purged = app.queue().purge_where(who.tenant(), place, &filter).await?;
    Ok(JsonAnswer(PurgeReport { purged }))
}

/// Documents that still wait for dead letters fail before these are purged: a document waits for the job that it names,
/// or for the continuation of that job's group. Usually they have failed long before, with the job.
async fn documents_give_up<N: RequiredPermission>(
    app: &ApiState,
    who: &Caller<N>,
    ids: &[JobId],
) -> Result<(), Problem> {
    let mut jobs = Vec::with_capacity(ids.len());
    let said = app.queue().inspect(who.tenant(), ids).await?;
    for (id, said) in ids.iter().zip(said) {
        let status = app.queue().lookup(who.tenant(), *id).await?;
        if status.is_some_and(|status| KEPT.contains(&status.state)) {
            // Also when its contents are damaged, which is why many are in quarantine.
            jobs.push(*id);
            let built = said.filter(|said| said.envelope.kind == BuildGraph::TYPE);
            let parent = built.and_then(|said| said.envelope.meta.parent);
            jobs.extend(parent.filter(|parent| parent.continuation() == *id));
        }
    }
    if !jobs.is_empty() {
        let detail = "its job was purged; upload the document again, or reindex, to try again";
        let fault = DocumentFault { code: "purged".to_owned(), detail: detail.to_owned() };
        who.stores.catalog().documents_failed(&jobs, &fault, app.clock().now()).await?;
    }
    Ok(())
}

/// How many jobs are redriven in one step.
const STEP: usize = 200;

/// Dead letters or quarantined jobs of one tenant.
pub(crate) struct Redrive {
    pub(crate) app: ApiState,
    pub(crate) stores: TenantStores,
    pub(crate) tenant: TenantId,
    /// The actor that starts them.
    pub(crate) by: String,
}

impl Redrive {
    /// Redrives jobs; the answer gives the outcome of each, in order.
    ///
    /// # Errors
    /// When queue or catalog fail. Some run again then.
    pub(crate) async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Redriven>, Problem> {
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(STEP) {
            self.allow(ids).await?;
            let wires = self.app.queue().payloads(&self.tenant, ids).await?;
            let before = self.app.clock().now();
            let said = self.app.queue().redrive_ids(&self.tenant, ids).await?;
            let started = ids.iter().zip(&said).filter(|(_, said)| **said == Redriven::Started);
            let started: Vec<JobId> = started.map(|(id, _)| *id).collect();
            if !started.is_empty() {
                let now = self.app.clock().now();
                self.stores.catalog().job_redriven(&started, &self.by, now).await?;
                let wires = wires.iter().zip(&said).filter(|(_, said)| **said == Redriven::Started);
                let wires = wires.filter_map(|(wire, _)| std::str::from_utf8(wire.as_ref()?).ok());
                self.reopen(wires, before).await?;
            }
            done.extend(said);
        }
        Ok(done)
    }

    /// Sets documents back that failed with jobs that were started again, unless they have changed since `before`: a
    /// worker does that too, when it comes to the job. The catalog remembers the jobs, so that no document waits for
    /// one that the queue has lost.
    async fn reopen(&self, wires: impl Iterator<Item = &str>, before: DateTime<Utc>) -> Result<(), Problem> {
        let catalog = self.stores.catalog();
        for wire in wires {
            let Some(said) = Inspected::read(&self.tenant, wire) else { continue };
            let Some((kb, id, revision, status)) = document(&said) else { continue };
            let job = said.envelope.id;
            catalog.unfinished_put(&[(job, wire)], before).await?;
            catalog.document_redriven(&kb, &id, revision, (job, status), before).await?;
        }
        Ok(())
    }

    /// Lets jobs run although the tenant's work was cancelled after they were made.
    async fn allow(&self, ids: &[JobId]) -> Result<(), Problem> {
        let said = self.app.queue().inspect(&self.tenant, ids).await?;
        let there: Vec<JobId> = ids.iter().zip(said).filter_map(|(id, said)| said.map(|_| *id)).collect();
        if !there.is_empty() {
            let now = self.app.clock().now();
            self.stores.catalog().jobs_mark(&there, JobMark::Redriven, now).await?;
        }
        Ok(())
    }
}

/// The document that a job works on, and the status in which it does.
fn document(said: &Inspected) -> Option<(KbId, DocumentId, u64, DocumentStatus)> {
    let (kb, envelope) = (said.kb.clone()?, &said.envelope);
    match envelope.kind.as_str() {
        IngestDocument::TYPE => {
            let job: IngestDocument = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision, DocumentStatus::Pending))
        }
        ExtractEntities::TYPE => {
            let job: ExtractEntities = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision, DocumentStatus::Processing))
        }
        BuildGraph::TYPE => {
            let job: BuildGraph = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision, DocumentStatus::Processing))
        }
        _ => None,
    }
}

/// A job that will not run by itself, in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedDeadLetter")]
pub(super) struct KeptRow {
    /// Null when it is the id of another tenant's job.
    id: Option<JobId>,
    #[serde(rename = "type")]
    kind: Option<String>,
    queue: Option<String>,
    /// `interactive` or `bulk`. It comes back in the same.
    #[schemars(with = "Option<super::enumerations::Lane>")]
    lane: Option<&'static str>,
    /// `high`, `normal`, `low` or `background`.
    #[schemars(with = "Option<super::enumerations::Priority>")]
    priority: Option<&'static str>,
    created_at: Option<DateTime<Utc>>,
    /// Since when it will not run.
    since: DateTime<Utc>,
    error: Fault,
    kb_id: Option<KbId>,
    /// The batch whose documents it works on.
    batch_id: Option<BatchId>,
}

impl KeptRow {
    pub(super) fn of(KeptEntry { job, said, has_foreign_id }: KeptEntry) -> Self {
        let (said, kb_id) = said.map(|said| (said.envelope, said.kb)).unzip();
        Self {
            id: (!has_foreign_id).then_some(job.id),
            created_at: said.as_ref().map(|said| said.meta.created_at),
            queue: said.as_ref().map(|said| said.queue.clone()),
            batch_id: said.as_ref().and_then(|said| said.meta.batch),
            lane: said.as_ref().map(|said| said.meta.lane.as_str()),
            priority: said.as_ref().map(|said| Priority::from_number(said.priority).as_str()),
            kind: said.map(|said| said.kind),
            since: job.since,
            error: Fault { code: job.reason.code, detail: job.reason.text },
            kb_id: kb_id.flatten(),
        }
    }
}

/// Jobs that will not run by themselves, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterPage")]
pub(super) struct KeptPage {
    pub(super) jobs: Vec<KeptRow>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}

/// Everything that is known of a job that will not run by itself, but its stamp.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub(super) struct KeptView {
    id: JobId,
    /// `discarded` or `quarantined`.
    #[schemars(with = "super::enumerations::KeptJobState")]
    state: &'static str,
    since: Option<DateTime<Utc>>,
    /// Attempts that were begun and not interrupted.
    attempts: u32,
    /// Attempts that ended with the loss of the worker.
    deaths: u32,
    /// Attempts that ended because a worker was stopped.
    interruptions: u32,
    error: Option<Fault>,
    kb_id: Option<KbId>,
    /// The batch whose documents it works on.
    batch_id: Option<BatchId>,
    /// The job, in the vocabulary of the Open Job Spec.
    #[schemars(with = "Option<Map<String, Value>>")]
    job: Option<Envelope>,
}

impl KeptView {
    pub(super) fn of(status: JobStatus, said: Option<Inspected>) -> Self {
        Self {
            id: status.id,
            state: status.state.as_str(),
            since: status.at,
            attempts: status.attempts,
            deaths: status.deaths,
            interruptions: status.interruptions,
            error: status.reason.map(|reason| Fault { code: reason.code, detail: reason.text }),
            kb_id: said.as_ref().and_then(|said| said.kb.clone()),
            batch_id: said.as_ref().and_then(|said| said.envelope.meta.batch),
            job: said.map(|said| said.envelope),
        }
    }
}

/// A job that was started again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Redelivery {
    pub(super) job_id: JobId,
    /// URL of the job.
    pub(super) location: String,
}

/// How many jobs were redriven.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RedriveReport {
    pub(super) started: usize,
    /// Jobs that were not, because another job has their unique key.
    pub(super) unique_key_taken: usize,
}

/// How many jobs were deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PurgeReport {
    pub(super) purged: u64,
}
