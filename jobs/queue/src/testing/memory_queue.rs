//! A queue in memory, as a test sees it.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;

use crate::answers;
use crate::answers::{JobState, JobStatus, Kept, KeptJob, PushOutcome, QueueStats, Reason};
use crate::cancel::{CancelReport, Cancelled, Redriven};
use crate::clock::SharedClock;
use crate::error::QueueError;
use crate::finish::{Finish, OpenGroup, Verdict};
use crate::id::PartitionId;
use crate::id::{GroupId, JobId};
use crate::job::{Lane, NewJob, Priority, Skill};
use crate::limits::{Flow, PartitionShare};
use crate::queue::LIVE_MS;
use crate::testing::state::{Job, Partition, Place, State};
use crate::worker::worker_queue::{FetchedJob, QuarantinedJob};

/// Most jobs in one claim.
const CLAIM_JOBS: usize = 500;

/// A queue in memory that keeps the promises of [`crate::Queue`], except that every job costs its
/// partition the same, however long it took. Clones are the same queue.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fair_queue::clock::{Clock as _, ManualClock, SystemClock};
/// use fair_queue::testing::MemoryQueue;
/// use fair_queue::{Skill, NewJob, Verdict};
///
/// let clock = ManualClock::at(SystemClock.now());
/// let queue = MemoryQueue::new(Arc::new(clock.clone()));
/// let mails = Skill::new("mail.send", 1, "default");
/// let job = NewJob::new("acme".parse()?, mails.clone(), "to: ann", clock.now());
/// let in_an_hour = Some(clock.now() + Duration::from_secs(3600));
/// queue.push(&[NewJob { due: in_an_hour, ..job }])?;
///
/// let skills = [mails];
/// assert!(queue.claim(&skills, 10, 1).is_empty());
/// clock.advance(Duration::from_secs(3600));
/// let claimed = queue.claim(&skills, 10, 1);
/// assert!(queue.finish(&claimed[0], &Verdict::Completed.into())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryQueue {
    state: Arc<Mutex<State>>,
    clock: SharedClock,
}

impl MemoryQueue {
    /// How long a claim lasts unless it is renewed: as long as with [`crate::QueueConfig::new`].
    pub const LEASE: Duration = Duration::from_secs(30);
    /// How many workers may vanish under a job before it goes to quarantine.
    pub const MAX_DEATHS: u32 = 3;

    /// An empty queue in which `clock` decides what is due.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// As [`crate::Queue::push`].
    ///
    /// # Errors
    /// [`QueueError::LimitReached`], when a partition may not add that much.
    pub fn push<J: Borrow<NewJob>>(&self, jobs: &[J]) -> Result<PushOutcome, QueueError> {
        self.push_with_group(None, &owned(jobs))
    }

    /// As [`crate::Queue::push_accepted`].
    pub fn push_accepted<J: Borrow<NewJob>>(&self, jobs: &[J]) -> PushOutcome {
        self.changed(|state, now_ms| state.add(&owned(jobs), now_ms))
    }

    /// As [`crate::Queue::push_group`].
    ///
    /// # Errors
    /// When members are of another partition than the continuation or too many; else as for
    /// [`MemoryQueue::push`].
    pub fn push_group<J: Borrow<NewJob>>(
        &self,
        group: &OpenGroup,
        members: &[J],
    ) -> Result<PushOutcome, QueueError> {
        let members = owned(members);
        let partition = group.continuation.partition.as_str();
        Finish { children: members.clone(), ..Finish::of(Verdict::Completed) }.check(partition)?;
        self.push_with_group(Some(group), &members)
    }

    fn push_with_group(&self, group: Option<&OpenGroup>, jobs: &[NewJob]) -> Result<PushOutcome, QueueError> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let partitions: BTreeSet<&PartitionId> = jobs.iter().map(|job| &job.partition).collect();
        let refused: Vec<_> =
            partitions.into_iter().filter_map(|partition| state.refusal(partition, jobs, now_ms)).collect();
        let allowed = |job: &&NewJob| refused.iter().all(|refused| refused.partition != job.partition);
        let allowed: Vec<NewJob> = jobs.iter().filter(allowed).cloned().collect();
        if let Some(group) = group.filter(|_| refused.is_empty()) {
            state.open_group(group);
        }
        let outcome = state.add(&allowed, now_ms);
        if let Some(group) = group {
            state.close_if_empty(&group.continuation.partition, group.id, now_ms);
        }
        state.settle(now_ms);
        if refused.is_empty() { Ok(outcome) } else { Err(QueueError::LimitReached(refused)) }
    }

    /// As [`crate::Queue::cancel`]. The token of a job that runs fires at once.
    pub fn cancel(&self, partition: &PartitionId, id: JobId) -> Cancelled {
        self.changed(|state, now_ms| state.cancel_one(partition, id, now_ms))
    }

    /// As [`crate::Queue::cancel_group`].
    pub fn cancel_group(&self, partition: &PartitionId, group: GroupId) -> Option<u64> {
        self.changed(|state, now_ms| state.cancel_group(partition, group, now_ms))
    }

    /// As [`crate::Queue::cancel_partition`].
    pub fn cancel_partition(&self, partition: &PartitionId) -> CancelReport {
        self.changed(|state, now_ms| state.cancel_partition(partition, now_ms))
    }

    /// As [`crate::Queue::queue_set`].
    pub fn queue_set(&self, queue: &str, flow: Flow) {
        self.state().flows.insert(queue.to_owned(), flow);
    }

    /// As [`crate::Queue::partition_queue_set`].
    pub fn partition_queue_set(&self, partition: &PartitionId, queue: &str, flow: Flow) {
        self.changed(|state, _| {
            let partition = state.partition(partition);
            partition.hold_ms = 0;
            partition.flows.insert(queue.to_owned(), flow);
        });
    }

    /// Claims at most `limit` jobs of `skills`, and at most `quantum` of one partition in a row while others
    /// wait. None when nothing may run now.
    #[must_use]
    pub fn claim(&self, skills: &[Skill], limit: usize, quantum: usize) -> Vec<FetchedJob> {
        let limit = limit.clamp(1, CLAIM_JOBS);
        self.state().claim(skills, limit, quantum, lease_ms(), self.clock.now_ms())
    }

    /// How long until time alone makes another job available.
    #[must_use]
    pub fn next_in(&self) -> Option<Duration> {
        self.state().next_in(self.clock.now_ms())
    }

    /// Extends a claim by another lease from now. `false` when it is lost.
    #[must_use]
    pub fn renew(&self, fence: u64) -> bool {
        self.state().renew(fence, lease_ms(), self.clock.now_ms())
    }

    /// Ends a job. `false` when another worker has claimed it or it had ended before; nothing was changed then.
    ///
    /// # Errors
    /// When the job has too many children, or a child of another partition. Nothing is done then.
    pub fn finish(&self, job: &FetchedJob, finish: &Finish) -> Result<bool, QueueError> {
        finish.check(job.partition.as_str())?;
        Ok(self.state().finish(job, finish, self.clock.now_ms()))
    }

    /// Returns the jobs of expired leases to their queues. The result lists those that lost their worker too often and
    /// are quarantined.
    pub fn reap(&self) -> Vec<QuarantinedJob> {
        let mut state = self.state();
        let quarantined = state.reap(Self::MAX_DEATHS, self.clock.now_ms());
        let report = |(partition, id)| QuarantinedJob {
            partition,
            id,
            payload: state.jobs.get(&id).map(|job| job.payload.clone()),
            code: "worker_died",
        };
        quarantined.into_iter().map(report).collect()
    }

    /// As [`crate::Queue::lookup`].
    #[must_use]
    pub fn lookup(&self, partition: &PartitionId, id: JobId) -> Option<JobStatus> {
        self.state().lookup(partition, id, self.clock.now_ms())
    }

    /// As [`crate::Queue::stats`].
    #[must_use]
    pub fn stats(&self, partition: &PartitionId) -> QueueStats {
        self.state().stats(partition, self.clock.now_ms())
    }

    /// As [`crate::Queue::kept`].
    #[must_use]
    pub fn kept(&self, partition: &PartitionId, kept: Kept, limit: usize) -> Vec<KeptJob> {
        self.state().kept(partition, kept, limit)
    }

    /// As [`crate::Queue::redrive`].
    pub fn redrive(&self, partition: &PartitionId, id: JobId) -> Redriven {
        self.changed(|state, now_ms| state.redrive(partition, id, now_ms))
    }

    /// As [`crate::Queue::purge`].
    pub fn purge(&self, partition: &PartitionId, id: JobId) -> bool {
        self.changed(|state, _| {
            let kept = state.jobs.get(&id).is_some_and(|job| job.partition == *partition && job.is_kept());
            kept && state.jobs.remove(&id).is_some()
        })
    }

    /// As [`crate::Queue::partition_set`].
    pub fn partition_set(&self, partition: &PartitionId, share: &PartitionShare) {
        self.changed(|state, _| state.partition(partition).set(share));
    }

    /// Says that a worker serves `skills`, as a running worker does every few seconds.
    pub fn declare(&self, skills: &[Skill]) {
        let now_ms = self.clock.now_ms();
        let seen = skills.iter().map(|skill| (skill.to_string(), now_ms));
        self.state().declared_ms.extend(seen);
    }

    /// Applies a change, then sets the virtual time of partitions that may run now to the present.
    fn changed<T>(&self, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        let answer = change(&mut state, now_ms);
        state.settle(now_ms);
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned<J: Borrow<NewJob>>(jobs: &[J]) -> Vec<NewJob> {
    jobs.iter().map(|job| job.borrow().clone()).collect()
}

fn lease_ms() -> i64 {
    i64::try_from(MemoryQueue::LEASE.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    pub(super) fn declared(&self, skill: &str, now_ms: i64) -> bool {
        let live_ms = i64::try_from(LIVE_MS).unwrap_or(i64::MAX);
        self.declared_ms.get(skill).is_some_and(|seen_ms| now_ms - seen_ms <= live_ms)
    }

    fn suspended(&self, partition: &PartitionId) -> bool {
        self.partitions.get(partition).is_some_and(|partition| partition.suspended)
    }

    pub(super) fn lookup(&self, partition: &PartitionId, id: JobId, now_ms: i64) -> Option<JobStatus> {
        match self.jobs.get(&id).filter(|job| job.partition == *partition) {
            Some(job) => Some(self.status(id, job, now_ms)),
            None => self.remembered(partition, id),
        }
    }

    fn status(&self, id: JobId, job: &Job, now_ms: i64) -> JobStatus {
        let (state, at_ms, why) = match &job.place {
            Place::Waiting if self.suspended(&job.partition) => (JobState::Parked, None, &job.note),
            Place::Waiting => (JobState::Available, None, &job.note),
            Place::Active(_) => (JobState::Active, None, &job.note),
            Place::Timer(state, due_ms) => (*state, Some(*due_ms), &job.note),
            Place::Kept { kept: Kept::Discarded, since_ms, why } => {
                (JobState::Discarded, Some(*since_ms), why)
            }
            Place::Kept { kept: Kept::Quarantined, since_ms, why } => {
                (JobState::Quarantined, Some(*since_ms), why)
            }
        };
        JobStatus {
            id,
            state,
            skill: job.skill.clone(),
            skill_declared: self.declared(&job.skill, now_ms),
            lane: job.lane,
            priority: job.priority,
            attempts: job.attempts,
            deaths: job.deaths,
            interruptions: job.interruptions,
            waits: job.parks,
            at: at_ms.and_then(DateTime::from_timestamp_millis),
            reason: answers::reason(why),
        }
    }

    /// A job that is forgotten but for its outcome.
    fn remembered(&self, partition: &PartitionId, id: JobId) -> Option<JobStatus> {
        let completed = self.partitions.get(partition)?.remembered(id)?;
        Some(JobStatus {
            id,
            state: if completed { JobState::Completed } else { JobState::Cancelled },
            skill: String::new(),
            skill_declared: false,
            lane: Lane::Interactive,
            priority: Priority::High,
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            waits: 0,
            at: None,
            reason: None,
        })
    }

    pub(super) fn stats(&self, name: &PartitionId, now_ms: i64) -> QueueStats {
        let mut stats = QueueStats::default();
        if let Some(Partition { totals, .. }) = self.partitions.get(name) {
            stats.completed_total = totals.completed;
            stats.cancelled_total = totals.cancelled;
            stats.discarded_total = totals.discarded;
            stats.quarantined_total = totals.quarantined;
        }
        let suspended = self.suspended(name);
        for job in self.jobs.values().filter(|job| job.partition == *name) {
            let count = match &job.place {
                Place::Waiting if suspended => &mut stats.parked,
                Place::Waiting => &mut stats.available,
                Place::Active(_) => &mut stats.active,
                Place::Timer(JobState::Scheduled, _) => &mut stats.scheduled,
                Place::Timer(JobState::Parked, _) => &mut stats.parked,
                Place::Timer(..) => &mut stats.retryable,
                Place::Kept { kept: Kept::Discarded, .. } => &mut stats.discarded,
                Place::Kept { kept: Kept::Quarantined, .. } => &mut stats.quarantined,
            };
            *count += 1;
            if job.place == Place::Waiting && !suspended && !self.declared(&job.skill, now_ms) {
                *stats.undeclared.entry(job.skill.clone()).or_default() += 1;
            }
        }
        stats
    }

    pub(super) fn kept(&self, partition: &PartitionId, which: Kept, limit: usize) -> Vec<KeptJob> {
        let page = self.kept_of(partition, which).into_iter().take(limit);
        let entry = |(since_ms, id): (i64, JobId)| {
            let why = self.jobs.get(&id).and_then(|job| match &job.place {
                Place::Kept { why, .. } => answers::reason(why),
                _ => None,
            });
            let since = DateTime::from_timestamp_millis(since_ms).unwrap_or_default();
            let reason = why.unwrap_or(Reason { code: "unknown".to_owned(), text: String::new() });
            KeptJob { id, since, reason }
        };
        page.map(entry).collect()
    }
}
