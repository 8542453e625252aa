//! Batches: what one request, or one folder, brought in, as one thing with one progress, one report and one end.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use jobs::queue::Explanation;
use jobs::tenant::{KbId, TenantId};
use jobs::{BatchId, DocumentId, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::TenantStores;
use stores::model::{Batch, BatchCounts, BatchFailure, BatchPace};

use super::job_cancel::{CancelReport, cancellation, fault};
use super::jobs::Wait;
use super::parameters::{Paging, page_after, page_limit};
use crate::answer::{Answer, batch_location};
use crate::problem::Problem;
use crate::request::{Caller, ManageJobs, Query, ReadDocuments};
use crate::state::ApiState;

/// The time in which ends are counted for an estimate.
const PACE: TimeDelta = TimeDelta::minutes(10);
/// Failures in a report.
const FAILURES: u32 = 1_000;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Shown {
    #[schemars(with = "BatchId")]
    batch: String,
}

impl Shown {
    /// The batch that a path names.
    pub(super) fn id(&self) -> Result<BatchId, Problem> {
        self.batch.parse().map_err(|_| Problem::not_found())
    }
}

/// `GET …/batches`: a page of batches, newest first.
pub(super) async fn list(
    who: Caller<ReadDocuments>,
    Query(asked): Query<Paging>,
) -> Result<Json<BatchPage>, Problem> {
    let after: Option<BatchId> = page_after(asked.after.as_deref())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let page = who.stores.catalog().batches(after, who.only_kb.as_ref(), limit).await?;
    let batches = page.items.into_iter().map(|batch| BatchView::of(who.tenant(), batch)).collect();
    Ok(Json(BatchPage { batches, next: page.next }))
}

/// `GET …/batches/{batch}`: its progress, an estimate, and what failed.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<ReadDocuments>,
    Path(shown): Path<Shown>,
) -> Result<Json<BatchReport>, Problem> {
    let reach = BatchReach::of(&who, shown.id()?);
    reach.report(&app).await.map(Json)
}

/// `POST …/batches/{batch}/cancel`: its documents that are on their way fail, and nothing more comes into it.
pub(super) async fn cancel(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer<CancelledBatch>, Problem> {
    let (id, now) = (shown.id()?, app.clock().now());
    let cancelled = who.stores.catalog().batch_cancel(id, who.only_kb.as_ref(), &fault(), now).await?;
    let jobs = cancelled.ok_or_else(Problem::not_found)?;
    let (documents, location) = (jobs.len() as u64, batch_location(who.tenant(), id));
    let jobs = cancellation(app, &who).documents(jobs).await?;
    Ok(Answer::new(CancelledBatch { batch_id: id, location, documents, jobs }))
}

/// A batch, as far as the credentials reach it.
#[derive(Clone)]
pub(super) struct BatchReach {
    pub(super) id: BatchId,
    pub(super) tenant: TenantId,
    pub(super) stores: TenantStores,
    pub(super) only_kb: Option<KbId>,
}

impl BatchReach {
    pub(super) fn of(who: &Caller<ReadDocuments>, id: BatchId) -> Self {
        let (tenant, stores) = (who.tenant().clone(), who.stores.clone());
        Self { id, tenant, stores, only_kb: who.only_kb.clone() }
    }

    /// The batch with an estimate and what failed.
    ///
    /// # Errors
    /// When there is no such batch within reach, or the catalog does not answer.
    pub(super) async fn report(&self, app: &ApiState) -> Result<BatchReport, Problem> {
        let (catalog, only) = (self.stores.catalog(), self.only_kb.as_ref());
        let batch = catalog.batch(self.id, only).await?.ok_or_else(Problem::not_found)?;
        let now = app.clock().now();
        let estimate = match batch.counts.open() {
            0 => None,
            remaining => {
                let pace = catalog.batch_pace(self.id, only, now - PACE).await?;
                let bound_by = self.bound_by(app, pace.waiting).await;
                Some(Estimate::of(remaining, &pace, (self.id.created_at(), now), bound_by))
            }
        };
        let mut failures = match batch.counts.failed {
            0 => Vec::new(),
            _ => catalog.batch_failures(self.id, only, FAILURES + 1).await?,
        };
        let more_failures = failures.len() > FAILURES as usize;
        failures.truncate(FAILURES as usize);
        let failures = failures.into_iter().map(Failure::from).collect();
        let batch = BatchView::of(&self.tenant, batch);
        Ok(BatchReport { batch, estimate, failures, more_failures })
    }

    /// What one of its waiting documents waits for. When the queue does not answer, nothing is said.
    async fn bound_by(&self, app: &ApiState, waiting: Option<JobId>) -> Vec<Wait> {
        let Some(job) = waiting else {
            let text = "its documents are being worked on".to_owned();
            return vec![Wait { code: "work", text }];
        };
        let explained = app.queue().explain(&self.tenant, job).await.ok().flatten();
        // Counts of the whole tenant are not shown to credentials of one knowledge base.
        let explained = match &self.only_kb {
            Some(_) => explained.map(Explanation::without_counts),
            None => explained,
        };
        explained
            .map(|explained| explained.waits_for.into_iter().map(Wait::from).collect())
            .unwrap_or_default()
    }
}

/// How far a batch is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BatchState {
    /// Some of its documents are on their way.
    Active,
    /// All of its documents have ended; more may come into it.
    Done,
    /// It was cancelled, and nothing more comes into it.
    Cancelled,
}

/// A batch: what one request, or one folder, brought in.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Batch")]
pub(super) struct BatchView {
    id: BatchId,
    /// URL of the batch.
    location: String,
    /// The knowledge bases of its documents.
    kb_ids: Vec<KbId>,
    state: BatchState,
    /// How many of its documents are where.
    counts: BatchCounts,
    progress: BatchProgress,
    /// When its id was made.
    created_at: Option<DateTime<Utc>>,
    /// When one of its documents changed last.
    updated_at: Option<DateTime<Utc>>,
    /// When it was cancelled, if it was.
    cancelled_at: Option<DateTime<Utc>>,
}

/// How many documents of a batch have ended, of how many.
#[derive(Debug, Serialize, JsonSchema)]
struct BatchProgress {
    /// Documents for which nothing more happens.
    done: u64,
    /// All documents.
    total: u64,
}

impl BatchView {
    fn of(tenant: &TenantId, batch: Batch) -> Self {
        let Batch { id, kbs, counts, updated_at, cancelled_at } = batch;
        let state = match (counts.open(), cancelled_at) {
            (1.., _) => BatchState::Active,
            (0, Some(_)) => BatchState::Cancelled,
            (0, None) => BatchState::Done,
        };
        let progress = BatchProgress { done: counts.ended(), total: counts.total() };
        let (location, created_at) = (batch_location(tenant, id), id.created_at());
        Self { id, location, kb_ids: kbs, state, counts, progress, created_at, updated_at, cancelled_at }
    }
}

/// Batches, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BatchPage {
    batches: Vec<BatchView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// A batch with an estimate and what failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BatchReport {
    #[serde(flatten)]
    batch: BatchView,
    /// Null when all of its documents have ended.
    estimate: Option<Estimate>,
    /// What failed, by knowledge base and document: the first thousand.
    failures: Vec<Failure>,
    /// Whether more failed than are listed.
    more_failures: bool,
}

/// When a batch may be done, from how fast its documents ended in the last ten minutes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchEstimate")]
struct Estimate {
    /// Documents on their way.
    remaining: u64,
    /// Documents that ended in a minute; null while none has.
    per_minute: Option<f64>,
    /// Seconds until the last one ends; null while none has ended.
    seconds: Option<u64>,
    /// When that is.
    ends_at: Option<DateTime<Utc>>,
    /// What its documents wait for, in the words of a job's `waits_for`.
    bound_by: Vec<Wait>,
}

impl Estimate {
    fn of(
        remaining: u64,
        pace: &BatchPace,
        (made_at, now): (Option<DateTime<Utc>>, DateTime<Utc>),
        bound_by: Vec<Wait>,
    ) -> Self {
        // Looked at since the batch began, but an id from a clock that is wrong says nothing of that.
        let since = made_at.filter(|at| *at > now - PACE && *at < now).unwrap_or(now - PACE);
        let since = pace.first_end.map_or(since, |first| since.min(first));
        let minutes = (now - since).as_seconds_f64().max(1.0) / 60.0;
        // Counts of documents are far below where a float loses one.
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (ended, left) = (pace.ended as f64, remaining as f64);
        let per_minute = (pace.ended > 0).then(|| ended / minutes);
        let left = per_minute.map(|rate| TimeDelta::milliseconds(millis(left / rate * 60_000.0)));
        Self {
            remaining,
            per_minute,
            seconds: left.and_then(|left| u64::try_from(left.num_seconds()).ok()),
            ends_at: left.and_then(|left| now.checked_add_signed(left)),
            bound_by,
        }
    }
}

/// Saturates far beyond any batch.
#[expect(clippy::cast_possible_truncation, reason = "the value is within the bounds")]
fn millis(value: f64) -> i64 {
    value.clamp(0.0, 1e15) as i64
}

/// A document of a batch that failed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchFailure")]
struct Failure {
    kb_id: KbId,
    document_id: DocumentId,
    /// Its (relative) file name.
    name: String,
    /// Stable: for programs.
    code: String,
    /// What happened and what to do.
    detail: String,
}

impl From<BatchFailure> for Failure {
    fn from(failure: BatchFailure) -> Self {
        let BatchFailure { kb, document, name, code, detail } = failure;
        Self { kb_id: kb, document_id: document, name, code, detail }
    }
}

/// A batch that was cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CancelledBatch {
    batch_id: BatchId,
    /// URL of the batch.
    location: String,
    /// Documents that were on their way, and failed with `cancelled`.
    documents: u64,
    /// Their jobs.
    jobs: CancelReport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_estimated_from_what_ended() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let began = Some(now - TimeDelta::minutes(2));
        let pace = BatchPace { ended: 20, first_end: Some(now - TimeDelta::minutes(1)), waiting: None };
        let estimate = Estimate::of(30, &pace, (began, now), Vec::new());
        assert_eq!((estimate.per_minute, estimate.seconds), (Some(10.0), Some(180)));
        assert_eq!(estimate.ends_at, Some(now + TimeDelta::minutes(3)));
        // An id from another clock.
        let later = Some(now + TimeDelta::days(1));
        let estimate = Estimate::of(30, &pace, (later, now), Vec::new());
        assert_eq!(estimate.per_minute, Some(2.0));
        let none = Estimate::of(30, &BatchPace::default(), (began, now), Vec::new());
        assert_eq!((none.per_minute, none.seconds, none.ends_at), (None, None, None));
    }
}
