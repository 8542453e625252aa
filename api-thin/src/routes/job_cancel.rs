//! Cancelling jobs: a single job, all that match a filter, or all. Their documents are marked as failed here, because
//! a job that is cancelled while it waits never reaches a worker.

use std::collections::HashSet;

use axum::extract::{Path, State};
use futures::{StreamExt as _, stream};
use jobs::queue::{Cancelled, Inspected, JobFilter, JobState};
use jobs::tenant::{KbId, TenantId};
use jobs::types::{BuildGraph, ExtractEntities};
use jobs::{DocumentId, GroupId, Job as _, JobId, queue};
use schemars::JsonSchema;
use serde::Serialize;
use stores::TenantStores;
use stores::model::{DocumentFault, Event, EventKind, JobMark, JobRecord};

use super::job_filter::{Filter, OPEN, reach};
use super::jobs::{Shown, check_reach};
use crate::answer::{Answer, job_location};
use crate::problem::{Code, Problem};
use crate::request::{Caller, Json, ManageTenant, Reach, RequiredPermission, SteerJobs, TenantCaller};
use crate::state::ApiState;

/// How many jobs one request cancels by a filter. For more it is sent again.
const AT_ONCE: usize = 5_000;

pub(super) fn cancellation<P: RequiredPermission, R: Reach>(
    app: ApiState,
    who: &Caller<P, R>,
) -> Cancellation {
    Cancellation { app, stores: who.stores.clone(), tenant: who.tenant().clone() }
}

/// `DELETE …/jobs/{job}`: cancels one job.
pub(super) async fn one(
    State(app): State<ApiState>,
    who: Caller<SteerJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer<CancelledJob>, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    let outcome = cancel(&app, &who, id).await?;
    let location = job_location(who.tenant(), id);
    Ok(Answer::new(CancelledJob { job_id: id, location, outcome }))
}

async fn cancel(app: &ApiState, who: &Caller<SteerJobs>, id: JobId) -> Result<Outcome, Problem> {
    let work = cancellation(app.clone(), who);
    let attempts = app.queue().lookup(who.tenant(), id).await;
    let attempts = attempts.ok().flatten().map_or(0, |status| status.attempts);
    let asked = work.jobs(vec![(id, attempts)]).await;
    match asked.as_ref().map(|done| done.first().copied()) {
        Ok(Some(Cancelled::Now)) => return Ok(Outcome::Cancelled),
        Ok(Some(Cancelled::Stopping)) => return Ok(Outcome::Stopping),
        Ok(Some(Cancelled::Kept)) => return Ok(Outcome::Kept),
        Ok(Some(Cancelled::NotFound) | None) | Err(_) => {}
    }
    // Before the outbox is asked: what was delivered may be there for a moment longer than in the queue.
    let remembered = app.queue().lookup(who.tenant(), id).await.is_ok_and(|status| status.is_some());
    let record = who.stores.catalog().history(id).await?;
    // Only the queue knows whether a dead letter was started again.
    let is_final = |state: &str| asked.is_ok() || matches!(state, "completed" | "cancelled");
    if remembered || record.is_some_and(|record| is_final(&record.state)) {
        return Ok(Outcome::Ended);
    }
    if work.undelivered(id).await? {
        return Ok(Outcome::Cancelled);
    }
    asked?;
    Err(Problem::not_found())
}

/// `POST …/jobs/cancel`: cancels the jobs that match a filter.
pub(super) async fn matching(
    State(app): State<ApiState>,
    who: Caller<SteerJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer<CancelReport>, Problem> {
    let filter = filter.read(&app, &who, OPEN).await?;
    if filter == JobFilter::default() {
        let detail = "say which jobs: types, queues, states, priorities, kb_id, batch_id, created_before or \
                      created_after; /jobs/cancel-all cancels everything";
        return Err(Problem::new(Code::InvalidField, detail));
    }
    let filter = reach(filter, &who);
    let (jobs, more) = app.queue().first_matching(who.tenant(), &filter, AT_ONCE).await?;
    let jobs = jobs.into_iter().map(|job| (job.id, job.attempts)).collect();
    let done = cancellation(app, &who).jobs(jobs).await?;
    let count = |wanted| done.iter().map(|done| u64::from(*done == wanted)).sum();
    let (cancelled, stopping) = (count(Cancelled::Now), count(Cancelled::Stopping));
    Ok(Answer::new(CancelReport { cancelled, stopping, more: Some(more) }))
}

/// `POST …/jobs/cancel-all`: cancels everything of the tenant, however much it is.
pub(super) async fn everything(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
) -> Result<Answer<CancelReport>, Problem> {
    let report = cancellation(app, &who).everything().await?;
    let (cancelled, stopping) = (report.cancelled, report.stopping);
    Ok(Answer::new(CancelReport { cancelled, stopping, more: None }))
}

/// The result of cancelling one job.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CancelledJob {
    job_id: JobId,
    /// URL of the job.
    location: String,
    outcome: Outcome,
}

/// The effect of a cancellation on a job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CancelOutcome")]
enum Outcome {
    /// It will not run.
    Cancelled,
    /// It runs and received a stop signal.
    Stopping,
    /// It is a dead letter or in quarantine: purge it there.
    Kept,
    /// It had ended already.
    Ended,
}

/// How many jobs were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CancelReport {
    /// Jobs that will not run.
    cancelled: u64,
    /// Running jobs that received a stop signal.
    stopping: u64,
    /// Whether more match than one request cancels: send it again then.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
}

/// Why a cancelled job ended, and its document failed.
const CODE: &str = "cancelled";
/// How many jobs are cancelled in one step.
const STEP: usize = 200;
/// How many groups of jobs are cancelled at the same time.
const GROUPS_AT_ONCE: usize = 16;

/// Cancels work of one tenant.
#[derive(Clone)]
pub(crate) struct Cancellation {
    pub(crate) app: ApiState,
    pub(crate) stores: TenantStores,
    pub(crate) tenant: TenantId,
}

impl Cancellation {
    /// Cancels jobs, given with their attempts so far; the answer says what became of each, in order. Goes on when the
    /// client hangs up.
    ///
    /// # Errors
    /// When queue or catalog fail. Some may be cancelled then.
    pub(crate) async fn jobs(&self, jobs: Vec<(JobId, u32)>) -> Result<Vec<Cancelled>, Problem> {
        let work = self.clone();
        spawned(async move {
            let mut done = Vec::with_capacity(jobs.len());
            for jobs in jobs.chunks(STEP) {
                done.extend(work.step(jobs).await?);
            }
            Ok(done)
        })
        .await
    }

    async fn step(&self, jobs: &[(JobId, u32)]) -> Result<Vec<Cancelled>, Problem> {
        let ids: Vec<JobId> = jobs.iter().map(|(id, _)| *id).collect();
        // Read before the cancellation: the queue forgets the contents of a cancelled job.
        let said = self.app.queue().inspect(&self.tenant, &ids).await?;
        // First where it cannot get lost: a job that comes up again is known to be cancelled then.
        let there: Vec<JobId> =
            ids.iter().zip(&said).filter(|(_, said)| said.is_some()).map(|(id, _)| *id).collect();
        self.mark(&there).await?;
        let done = self.app.queue().cancel_ids(&self.tenant, &ids).await?;
        // Dead letters may be started again.
        let kept = ids.iter().zip(&done).filter(|(_, done)| **done == Cancelled::Kept).map(|(id, _)| *id);
        let kept: Vec<JobId> = kept.collect();
        if !kept.is_empty() {
            self.stores.catalog().jobs_unmark(&kept).await?;
        }
        let gone = |at: &usize| done[*at] == Cancelled::Now;
        let at: Vec<usize> = (0..done.len()).filter(gone).collect();
        self.documents_of(&at.iter().map(|&at| ids[at]).collect::<Vec<_>>()).await?;
        self.documents_on_their_way(at.iter().filter_map(|&at| said[at].as_ref())).await?;
        let ended = at.iter().filter_map(|&at| said[at].as_ref().zip(Some(jobs[at].1)));
        self.record(ended).await?;
        Ok(done)
    }

    /// Cancels the jobs of documents that were cancelled: those that were to ingest them, and the group of jobs that
    /// each of those has opened. Goes on when the client hangs up.
    ///
    /// # Errors
    /// When queue or catalog fail. What is left in the queue then finds nothing to do.
    pub(super) async fn documents(&self, jobs: Vec<JobId>) -> Result<CancelReport, Problem> {
        let work = self.clone();
        spawned(async move {
            let mut report = CancelReport { cancelled: 0, stopping: 0, more: None };
            for jobs in jobs.chunks(STEP) {
                work.documents_step(jobs, &mut report).await?;
            }
            Ok(report)
        })
        .await
    }

    async fn documents_step(&self, jobs: &[JobId], report: &mut CancelReport) -> Result<(), Problem> {
        let catalog = self.stores.catalog();
        let undelivered = catalog.outbox_wires(jobs).await?;
        if !undelivered.is_empty() {
            let ids: Vec<JobId> = undelivered.iter().map(|(id, _)| *id).collect();
            self.mark(&ids).await?;
            catalog.outbox_delete(&ids).await?;
        }
        let asked: Vec<_> = jobs.iter().map(|id| (*id, 0)).collect();
        let done = self.step(&asked).await?;
        let found =
            |wanted| jobs.iter().zip(&done).filter(move |(_, done)| **done == wanted).map(|(id, _)| *id);
        report.cancelled += found(Cancelled::Now).count() as u64;
        report.stopping += found(Cancelled::Stopping).count() as u64;
        let gone: HashSet<JobId> = found(Cancelled::NotFound).collect();
        let only_accepted: Vec<_> = undelivered.iter().filter(|(id, _)| gone.contains(id)).collect();
        report.cancelled += only_accepted.len() as u64;
        let said: Vec<_> =
            only_accepted.iter().filter_map(|(_, wire)| Inspected::read(&self.tenant, wire)).collect();
        self.record(said.iter().map(|said| (said, 0))).await?;
        let groups = stream::iter(gone)
            .map(|id| async move { self.app.queue().cancel_group(&self.tenant, GroupId::of(id)).await });
        let mut groups = std::pin::pin!(groups.buffer_unordered(GROUPS_AT_ONCE));
        while let Some(members) = groups.next().await {
            report.cancelled += members?.unwrap_or_default();
        }
        Ok(())
    }

    /// Writes down that jobs ended. A worker does that for jobs that started, but these never reach one again; without
    /// a record nothing says which knowledge base they were of.
    async fn record(&self, ended: impl Iterator<Item = (&Inspected, u32)>) -> Result<(), Problem> {
        let now = self.app.clock().now();
        let record = |(said, attempts): (&Inspected, u32)| JobRecord {
            parent: said.envelope.meta.parent,
            batch: said.envelope.meta.batch,
            trace_id: Some(said.envelope.meta.traceparent.trace_id().to_owned()),
            id: said.envelope.id,
            kind: said.envelope.kind.clone(),
            kb: said.kb.clone(),
            queue: said.envelope.queue.clone(),
            state: JobState::Cancelled.to_string(),
            attempts,
            error: Some((CODE.to_owned(), "it was cancelled while it waited".to_owned())),
            created_at: said.envelope.meta.created_at,
            started_at: None,
            finished_at: now,
        };
        let records: Vec<JobRecord> = ended.map(record).collect();
        for record in &records {
            self.stores.live().tell(Event {
                kb_id: record.kb.clone(),
                job_id: Some(record.id),
                job_type: Some(record.kind.clone()),
                state: Some(record.state.clone()),
                ..Event::new(EventKind::Job, now)
            });
        }
        if !records.is_empty() {
            self.stores.catalog().history_insert(&records).await?;
        }
        Ok(())
    }

    async fn mark(&self, jobs: &[JobId]) -> Result<(), Problem> {
        if jobs.is_empty() {
            return Ok(());
        }
        let now = self.app.clock().now();
        self.stores.catalog().jobs_mark(jobs, JobMark::Cancelled, now).await?;
        Ok(())
    }

    /// A job that was accepted and that the queue does not have yet. `false` when there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) async fn undelivered(&self, id: JobId) -> Result<bool, Problem> {
        let Some(wire) = self.stores.catalog().outbox_job(id).await? else { return Ok(false) };
        let work = self.clone();
        spawned(async move {
            work.mark(&[id]).await?;
            work.stores.catalog().outbox_delete(&[id]).await?;
            // It may have been delivered to the queue since the outbox was read.
            if let Err(error) = work.app.queue().cancel(&work.tenant, id).await {
                tracing::info!(error = jobs::error::report(&error), "the queue was not asked about a job");
            }
            work.documents_of(&[id]).await?;
            work.record(Inspected::read(&work.tenant, &wire).iter().map(|said| (said, 0))).await
        })
        .await?;
        Ok(true)
    }

    /// Cancels everything: jobs in the outbox, waiting jobs and running jobs.
    ///
    /// # Errors
    /// When queue or catalog fail. Call it again then.
    pub(crate) async fn everything(&self) -> Result<queue::CancelReport, Problem> {
        let work = self.clone();
        spawned(async move {
            // So that what this process has delivered is counted once, where the queue has it.
            work.app.bookkeeper().settle(&work.tenant).await;
            let now = work.app.clock().now();
            let undelivered = work.stores.catalog().cancel_everything(&fault(), now).await?;
            let mut report = work.app.queue().cancel_partition(&work.tenant).await?;
            report.cancelled += undelivered;
            Ok(report)
        })
        .await
    }

    /// Documents that one of `jobs` was to ingest.
    async fn documents_of(&self, jobs: &[JobId]) -> Result<(), Problem> {
        if !jobs.is_empty() {
            self.stores.catalog().documents_failed(jobs, &fault(), self.app.clock().now()).await?;
        }
        Ok(())
    }

    /// Documents that were ingested and for which a later step will not come.
    async fn documents_on_their_way(&self, said: impl Iterator<Item = &Inspected>) -> Result<(), Problem> {
        let documents: HashSet<_> = said.filter_map(document).collect();
        for (kb, id, revision) in documents {
            let now = self.app.clock().now();
            self.stores.catalog().document_failed(&kb, &id, revision, &fault(), now).await?;
        }
        Ok(())
    }
}

fn document(said: &Inspected) -> Option<(KbId, DocumentId, u64)> {
    let (kb, envelope) = (said.kb.clone()?, &said.envelope);
    match envelope.kind.as_str() {
        ExtractEntities::TYPE => {
            let job: ExtractEntities = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision))
        }
        BuildGraph::TYPE => {
            let job: BuildGraph = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision))
        }
        _ => None,
    }
}

pub(super) fn fault() -> DocumentFault {
    let detail = "its job was cancelled; upload the document again, or reindex, to try again";
    DocumentFault { code: CODE.to_owned(), detail: detail.to_owned() }
}

/// A task of its own: a client that hangs up must not leave jobs cancelled and their documents waiting.
async fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}
