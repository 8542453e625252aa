//! The typed interface to the queue: only stamped jobs go in, and claimed bytes come out unverified.
//!
//! [`fair_queue`] carries bytes for partitions and knows neither tenants nor stamps. Here a tenant's partition has the
//! tenant's name, only a [`StampedJob`] can be pushed, and what a worker claims is bytes for
//! [`Verifier::verify`](crate::envelope::Verifier::verify).

use std::borrow::Borrow as _;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
#[cfg(feature = "test-support")]
pub use fair_queue::testing::{MemoryQueue, RedisServer, run_for_tests};
pub use fair_queue::{
    CancelReport, Cancelled, Claim, ClaimedJob, ConflictDone, Damage, Explanation, FetchRequest, Fetched,
    Finish, FinishedJob, Flow, InvalidCursor, JobState, JobStatus, Kept, KeptJob, KeptSettings, LimitReached,
    ListCursor, OnFailure, OpenGroup, PartitionId, PartitionOverview, PartitionShare, PartitionState,
    PushOutcome, QueueConfig, QueueError, QueueStats, RateTaken, RateWindow, Reason, Redriven, Rescheduled,
    ReshardError, Resharded, RoomLeft, Skill, SkillStatus, StopReport, UniqueConflict, Verdict, WaitsFor,
    Whereabouts, WorkerObserver, WorkerOptions, WorkerQueue, reshard,
};
use fair_queue::{KeptRecord, NewJob, OpenJob, Priority, RetryRule, Select, Wording};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::envelope::{Chain, Envelope, RetryPolicy, SPANS, StampedJob, WireEnvelope};
use crate::id::{BatchId, JobId};
use crate::job::{Job, JobPolicy, Lane};
use crate::metrics;
use crate::tenant::{KbId, TenantId};

/// Hands claimed jobs to an apalis worker.
pub type JobBackend = fair_queue::JobBackend<FetchedJob>;

/// The usual settings for the product's queue on the Redis at `url`.
#[must_use]
pub fn config(url: SecretString) -> QueueConfig {
    let wording = Wording { shards: "TENANTRY_SHARDS", reshard: "tenantry shards --to" };
    QueueConfig { wording, ..QueueConfig::new(url, "tenantry") }
}

/// The skill of `J`.
#[must_use]
pub fn skill_of<J: Job>() -> Skill {
    Skill::from(&JobPolicy::of::<J>())
}

impl From<&JobPolicy> for Skill {
    fn from(policy: &JobPolicy) -> Self {
        Self::new(policy.kind, policy.version, policy.queue)
    }
}

/// The retry policy of a job whose handler panicked or failed without a verdict: the one in its envelope. It is read
/// without verification, because it decides only how often to retry, not whether the job may run.
#[must_use]
pub fn retry_rule() -> RetryRule {
    let stamped = |payload: &[u8]| -> Option<RetryPolicy> {
        let wire: WireEnvelope = serde_json::from_slice(payload).ok()?;
        let envelope: Envelope = serde_json::from_str(wire.job.get()).ok()?;
        Some(envelope.retry)
    };
    RetryRule::new(move |payload| stamped(payload).unwrap_or_default())
}

/// The queue, as code that acts for tenants sees it. Clones share one connection.
///
/// What does not push is that of [`fair_queue::Queue`], with a tenant's id as the partition.
#[derive(Debug, Clone)]
pub struct Queue(fair_queue::Queue);

impl Deref for Queue {
    type Target = fair_queue::Queue;

    fn deref(&self) -> &fair_queue::Queue {
        &self.0
    }
}

impl From<Queue> for fair_queue::Queue {
    fn from(queue: Queue) -> Self {
        queue.0
    }
}

impl Queue {
    /// As [`fair_queue::Queue::connect`].
    ///
    /// # Errors
    /// As there.
    pub async fn connect(config: QueueConfig) -> Result<Self, QueueError> {
        fair_queue::Queue::connect(config).await.map(Self)
    }

    /// As [`fair_queue::Queue::push`].
    ///
    /// # Errors
    /// As there.
    pub async fn push(&self, jobs: &[StampedJob]) -> Result<PushOutcome, QueueError> {
        counted(jobs, self.0.push(jobs).instrument(sending(jobs)).await)
    }

    /// As [`fair_queue::Queue::push_accepted`].
    ///
    /// # Errors
    /// As there.
    pub async fn push_accepted(&self, jobs: &[StampedJob]) -> Result<PushOutcome, QueueError> {
        counted(jobs, self.0.push_accepted(jobs).instrument(sending(jobs)).await)
    }

    /// As [`fair_queue::Queue::push_group`].
    ///
    /// # Errors
    /// As there.
    pub async fn push_group(
        &self,
        group: &OpenGroup,
        members: &[StampedJob],
    ) -> Result<PushOutcome, QueueError> {
        counted(members, self.0.push_group(group, members).await)
    }

    /// As [`fair_queue::Queue::push_chain`].
    ///
    /// # Errors
    /// As there.
    pub async fn push_chain(&self, chain: &Chain<'_>) -> Result<PushOutcome, QueueError> {
        // The rest of the chain waits for its first job.
        let outcome = self.0.push_chain(chain.jobs()).await?;
        if outcome.accepted > 0 {
            metrics::enqueued(chain.jobs(), chain.jobs().len());
        }
        Ok(outcome)
    }

    /// As [`fair_queue::Queue::room_for`].
    ///
    /// # Errors
    /// As there.
    pub async fn room_for(&self, jobs: &[StampedJob]) -> Result<(), QueueError> {
        self.0.room_for(jobs).await
    }

    /// The job that has the unique key of `job`, so that `job` would not be enqueued. `None` when the key is free, or
    /// `job` has none.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn same_as(&self, job: &StampedJob) -> Result<Option<JobId>, QueueError> {
        let new: &NewJob = job.borrow();
        match &new.unique {
            Some(unique) => self.0.unique_holder(&new.partition, &unique.key).await,
            None => Ok(None),
        }
    }

    /// As [`fair_queue::Queue::watch_memory`].
    pub async fn watch_memory(self, stop: CancellationToken) {
        self.0.watch_memory(stop).await;
    }

    /// The envelopes of a tenant's jobs, in the order of the ids; `None` for a job that the tenant does not have in
    /// the queue, whose record is damaged, or that is stamped for another tenant.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn inspect(
        &self,
        tenant: &TenantId,
        ids: &[JobId],
    ) -> Result<Vec<Option<Inspected>>, QueueError> {
        let payloads = self.0.payloads(tenant, ids).await?;
        let read = |payload: Option<bytes::Bytes>| Said::of(tenant, &payload?).own();
        Ok(payloads.into_iter().map(read).collect())
    }

    /// How many jobs of one knowledge base of a tenant are where. The queue does not count by knowledge base, so all
    /// of the tenant's jobs are looked at: `None` when those are more than [`fair_queue::Queue::LOOKED_AT`]. How many
    /// have ended is not known.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn stats_of_kb(&self, tenant: &TenantId, kb: &KbId) -> Result<Option<QueueStats>, QueueError> {
        const MOST: usize = fair_queue::Queue::LOOKED_AT;
        let all = self.stats(tenant).await?;
        if all.open() + all.discarded + all.quarantined > MOST as u64 {
            return Ok(None);
        }
        let filter = JobFilter { kb: Some(kb.clone()), ..JobFilter::default() };
        let mut stats = QueueStats::default();
        for job in self.list(tenant, &filter, None, MOST).await?.jobs {
            match job.state {
                JobState::Available => stats.available += 1,
                JobState::Active => stats.active += 1,
                JobState::Scheduled => stats.scheduled += 1,
                JobState::Retryable => stats.retryable += 1,
                JobState::Parked => stats.parked += 1,
                JobState::Completed | JobState::Cancelled | JobState::Discarded | JobState::Quarantined => {}
            }
            if job.state == JobState::Available && all.undeclared.contains_key(&job.skill) {
                *stats.undeclared.entry(job.skill).or_default() += 1;
            }
        }
        for (kept, count) in
            [(Kept::Discarded, &mut stats.discarded), (Kept::Quarantined, &mut stats.quarantined)]
        {
            *count = self.kept_page(tenant, kept, &filter, None, MOST).await?.jobs.len() as u64;
        }
        Ok(Some(stats))
    }
}

/// The span in which jobs are put into the queue, in the trace of what does it.
fn sending(jobs: &[StampedJob]) -> Span {
    let (count, first) = (jobs.len(), jobs.first());
    tracing::trace_span!(
        target: SPANS,
        "send",
        job.queue = first.map(StampedJob::queue),
        job.count = count,
        tenant.id = first.map(|job| job.tenant_id().as_str()),
    )
}

fn counted(jobs: &[StampedJob], outcome: Result<PushOutcome, QueueError>) -> Result<PushOutcome, QueueError> {
    if let Ok(outcome) = &outcome {
        metrics::enqueued(jobs, outcome.accepted);
    }
    outcome
}

/// A job that this process has claimed. Its bytes were not checked yet:
/// [`Verifier::verify`](crate::envelope::Verifier::verify) does. The rest is what the queue knows of it.
#[derive(Debug, Clone)]
pub struct FetchedJob {
    /// The tenant whose queue the job was in; `verify` compares the stamp with it.
    pub tenant: TenantId,
    /// The signed bytes.
    pub wire: Arc<str>,
    job: fair_queue::FetchedJob,
}

impl From<fair_queue::FetchedJob> for FetchedJob {
    fn from(job: fair_queue::FetchedJob) -> Self {
        let wire = match std::str::from_utf8(&job.payload) {
            Ok(wire) => wire.into(),
            // We sign only UTF-8, so other bytes are refused by `verify`.
            Err(_) => String::from_utf8_lossy(&job.payload).into(),
        };
        Self { tenant: job.partition.clone().into(), wire, job }
    }
}

impl Deref for FetchedJob {
    type Target = fair_queue::FetchedJob;

    fn deref(&self) -> &fair_queue::FetchedJob {
        &self.job
    }
}

/// A job that the queue itself quarantined, so that its handler's on-discard hook can run.
#[derive(Debug, Clone)]
pub struct QuarantinedJob {
    /// The tenant whose queue the job was in.
    pub tenant: TenantId,
    /// Its id.
    pub id: JobId,
    /// Its signed bytes, if they are still there. Unchecked.
    pub wire: Option<String>,
    /// Why: `worker_died`, `record_damaged` or `record_missing`.
    pub code: &'static str,
}

impl From<fair_queue::QuarantinedJob> for QuarantinedJob {
    fn from(job: fair_queue::QuarantinedJob) -> Self {
        let wire = job.payload.map(|payload| String::from_utf8_lossy(&payload).into_owned());
        Self { tenant: job.partition.into(), id: job.id, wire, code: job.code }
    }
}

/// What a job in the queue says of itself. Good enough to look at, not to run: its signature was not checked, and its
/// stamp stays where it is.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The envelope, not verified.
    pub envelope: Envelope,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
}

impl Inspected {
    /// Reads signed bytes in the queue of `tenant`; `None` when they are damaged, or stamped for another tenant.
    #[must_use]
    pub fn read(tenant: &TenantId, wire: &str) -> Option<Self> {
        Said::of(tenant, wire.as_bytes()).own()
    }
}

/// What signed bytes in a tenant's queue say, as far as that is the tenant's business.
enum Said {
    /// A job of the tenant's.
    Own(Box<Inspected>),
    /// A job that is stamped for another tenant, with its id if that can be read.
    Foreign(Option<JobId>),
    /// Neither can be read, or the job is not the stamped one: its contents may have been written by anyone with
    /// access to Redis.
    Damaged,
}

impl Said {
    fn of(partition: &PartitionId, wire: &[u8]) -> Self {
        let Ok(wire) = serde_json::from_slice::<WireEnvelope>(wire) else { return Self::Damaged };
        let Some(claimed) = wire.claimed() else { return Self::Damaged };
        if claimed.tenant != partition.as_str() {
            return Self::Foreign(claimed.id.parse().ok());
        }
        let envelope = serde_json::from_str(wire.job.get()).ok().filter(|_| claimed.is_of(&wire.job));
        envelope.map_or(Self::Damaged, |envelope| Self::Own(Box::new(Inspected { envelope, kb: claimed.kb })))
    }

    fn own(self) -> Option<Inspected> {
        match self {
            Self::Own(said) => Some(*said),
            Self::Foreign(_) | Self::Damaged => None,
        }
    }
}

/// Which jobs. An empty filter matches every open job: scheduled, available, active, retryable and parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of one of these types; of any when empty.
    pub kinds: Vec<String>,
    /// Of one of these Open Job Spec queues; of any when empty.
    pub queues: Vec<String>,
    /// In one of these states; when empty, in any that is open, or, for dead letters, in any of theirs.
    pub states: Vec<JobState>,
    /// Enqueued before this moment.
    pub created_before: Option<DateTime<Utc>>,
    /// Enqueued at this moment or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Kept for a reason with this code: for dead letters and quarantine only.
    pub reason_code: Option<String>,
    /// Only jobs whose stamp names this knowledge base.
    pub kb: Option<KbId>,
    /// Only jobs that this job enqueued.
    pub parent: Option<JobId>,
    /// Only jobs that work on documents of this batch, as far as they were made since jobs say that.
    pub batch: Option<BatchId>,
    /// Of one of these priorities; of any when empty.
    pub priorities: Vec<Priority>,
    /// Of this lane; of both when `None`.
    pub lane: Option<Lane>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// The Open Job Spec queue it waits in.
    pub queue: String,
    /// The skill it waits in: its type and payload version.
    pub skill: String,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
    /// The batch whose documents it works on.
    pub batch: Option<BatchId>,
    /// The state of the job.
    pub state: JobState,
    /// Its lane among the tenant's jobs.
    pub lane: Lane,
    /// Its priority among the tenant's jobs of the same lane.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// When it was enqueued first, according to its envelope.
    pub created_at: DateTime<Utc>,
}

/// A dead letter or a quarantined job in a list.
#[derive(Debug, Clone)]
pub struct KeptEntry {
    /// Its state, and the reason for it.
    pub job: KeptJob,
    /// Its envelope, not verified; `None` when that is damaged or another tenant's.
    pub said: Option<Inspected>,
    /// Whether its very id is that of another tenant's job.
    pub has_foreign_id: bool,
}

impl JobFilter {
    fn matches(&self, said: &Inspected) -> bool {
        let envelope = &said.envelope;
        (self.kinds.is_empty() || self.kinds.contains(&envelope.kind))
            && (self.queues.is_empty() || self.queues.contains(&envelope.queue))
            && self.created_before.is_none_or(|moment| envelope.meta.created_at < moment)
            && self.created_after.is_none_or(|moment| envelope.meta.created_at >= moment)
            && self.kb.as_ref().is_none_or(|kb| said.kb.as_ref() == Some(kb))
            && self.parent.is_none_or(|parent| envelope.meta.parent == Some(parent))
            && self.batch.is_none_or(|batch| envelope.meta.batch == Some(batch))
            && self.lane.is_none_or(|lane| envelope.meta.lane == lane)
            && (self.priorities.is_empty()
                || self.priorities.contains(&Priority::from_number(envelope.priority)))
    }
}

/// Reads records without verifying their signatures: enough to find a job, not to run it. Open jobs stamped for
/// another tenant are not listed; of a kept one only the reason is shown.
impl Select for JobFilter {
    type Open = JobSummary;
    type Kept = KeptEntry;

    fn states(&self) -> &[JobState] {
        &self.states
    }

    fn reason_code(&self) -> Option<&str> {
        self.reason_code.as_deref()
    }

    fn reads_records(&self) -> bool {
        let by_state =
            Self { states: self.states.clone(), reason_code: self.reason_code.clone(), ..Self::default() };
        *self != by_state
    }

    fn wants_priority(&self, priority: Priority) -> bool {
        self.priorities.is_empty() || self.priorities.contains(&priority)
    }

    fn wants_lane(&self, lane: Lane) -> bool {
        self.lane.is_none_or(|wanted| wanted == lane)
    }

    fn open(&self, partition: &PartitionId, job: OpenJob<'_>) -> Option<JobSummary> {
        let said = Said::of(partition, job.payload).own().filter(|said| self.matches(said))?;
        let Inspected { envelope, kb } = said;
        Some(JobSummary {
            id: job.id,
            kind: envelope.kind,
            queue: envelope.queue,
            skill: job.skill.to_owned(),
            kb,
            batch: envelope.meta.batch,
            state: job.state,
            lane: job.lane,
            priority: job.priority,
            attempts: job.attempts,
            created_at: envelope.meta.created_at,
        })
    }

    fn kept(
        &self,
        partition: &PartitionId,
        job: KeptJob,
        record: Option<KeptRecord<'_>>,
    ) -> Option<KeptEntry> {
        let said = record.map_or(Said::Damaged, |record| Said::of(partition, record.payload));
        let has_foreign_id = matches!(said, Said::Foreign(Some(claimed)) if claimed == job.id);
        let said = said.own();
        // A job with a damaged record can be purged too, as long as the filter does not read its contents.
        if self.reads_records() && !said.as_ref().is_some_and(|said| self.matches(said)) {
            return None;
        }
        Some(KeptEntry { job, said, has_foreign_id })
    }
}

/// Only a stamped job becomes a job for the queue.
impl From<StampedJob> for NewJob {
    fn from(job: StampedJob) -> Self {
        job.into_new_job()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ReindexKb;

    #[test]
    fn a_skill_is_named_as_stamped_jobs_say() {
        assert_eq!(skill_of::<ReindexKb>().as_str(), format!("{}@{}", ReindexKb::TYPE, ReindexKb::VERSION));
        assert_eq!(skill_of::<ReindexKb>().queue(), ReindexKb::QUEUE);
    }
}
