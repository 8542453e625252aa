//! Either queue, with a clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use fair_queue::clock::{Clock as _, ManualClock};
use fair_queue::testing::{MemoryQueue, shared_redis_url};
use fair_queue::{
    CancelReport, Cancelled, FetchRequest, Fetched, Finish, FinishedJob, Flow, GroupId, JobId, JobStatus,
    Kept, KeptJob, NewJob, OnFailure, OpenGroup, PartitionShare, PushOutcome, Queue, QueueError, QueueStats,
    Redriven, Skill, Verdict,
};

use super::claimed::{Claimed, Handle};
use crate::support::{EnqueueOptions, Job, Ping, config_at, make, skill_of, tenant};

/// What one tenant gets in a row while others wait.
const QUANTUM: u32 = 2;

pub(super) struct Site {
    queue: EitherQueue,
    pub(super) clock: ManualClock,
    pub(super) skills: Vec<Skill>,
}

enum EitherQueue {
    Redis { queue: Queue, attempt: std::cell::Cell<u64> },
    Memory(MemoryQueue),
}

impl Site {
    pub(super) async fn on_redis() -> Self {
        Self::redis_at(clock()).await
    }

    pub(super) async fn redis_at(clock: ManualClock) -> Self {
        let mut config = config_at(shared_redis_url());
        config.clock = Some(Arc::new(clock.clone()));
        assert_eq!((config.lease, config.max_deaths), (MemoryQueue::LEASE, MemoryQueue::MAX_DEATHS));
        let queue = Queue::connect(config).await.unwrap();
        Self::new(EitherQueue::Redis { queue, attempt: 0.into() }, clock)
    }

    pub(super) fn in_memory() -> Self {
        Self::memory_at(clock())
    }

    pub(super) fn memory_at(clock: ManualClock) -> Self {
        Self::new(EitherQueue::Memory(MemoryQueue::new(Arc::new(clock.clone()))), clock)
    }

    fn new(queue: EitherQueue, clock: ManualClock) -> Self {
        Self { queue, clock, skills: vec![skill_of::<Ping>()] }
    }

    pub(super) fn job<J: Job>(&self, tenant: &str, job: &J, options: EnqueueOptions) -> NewJob {
        make(tenant, job, options, self.clock.now())
    }

    pub(super) fn ping(&self, tenant: &str) -> NewJob {
        self.job(tenant, &Ping::default(), EnqueueOptions::default())
    }

    pub(super) fn pings(&self, tenant: &str, count: usize) -> Vec<NewJob> {
        (0..count).map(|_| self.ping(tenant)).collect()
    }

    /// A completion that opens a group with `members` and a continuation.
    pub(super) fn fan_out(&self, parent: &NewJob, members: usize) -> Finish {
        let (name, id) = (parent.partition.as_str(), GroupId::of(parent.id));
        let member = EnqueueOptions { group: Some(id), ..EnqueueOptions::default() };
        let children = (0..members).map(|_| self.job(name, &Ping::default(), member)).collect();
        let group = Some(OpenGroup { id, continuation: self.ping(name), on_failure: OnFailure::Continue });
        Finish { verdict: Verdict::Completed, children, group }
    }

    pub(super) async fn push(&self, jobs: &[NewJob]) -> PushOutcome {
        self.try_push(jobs).await.unwrap()
    }

    pub(super) async fn try_push(&self, jobs: &[NewJob]) -> Result<PushOutcome, QueueError> {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.push(jobs).await,
            EitherQueue::Memory(queue) => queue.push(jobs),
        }
    }

    pub(super) async fn push_group(&self, group: &OpenGroup, members: &[NewJob]) -> PushOutcome {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.push_group(group, members).await.unwrap(),
            EitherQueue::Memory(queue) => queue.push_group(group, members).unwrap(),
        }
    }

    pub(super) async fn cancel(&self, name: &str, id: JobId) -> Cancelled {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.cancel(&tenant(name), id).await.unwrap(),
            EitherQueue::Memory(queue) => queue.cancel(&tenant(name), id),
        }
    }

    pub(super) async fn cancel_group(&self, name: &str, group: GroupId) -> Option<u64> {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.cancel_group(&tenant(name), group).await.unwrap(),
            EitherQueue::Memory(queue) => queue.cancel_group(&tenant(name), group),
        }
    }

    /// With all that the workers sweep up afterwards.
    pub(super) async fn cancel_partition(&self, name: &str) -> CancelReport {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => {
                let report = queue.cancel_partition(&tenant(name)).await.unwrap();
                while queue.sweep(0, 200).await.unwrap() > 0 {}
                report
            }
            EitherQueue::Memory(queue) => queue.cancel_partition(&tenant(name)),
        }
    }

    pub(super) async fn purge(&self, name: &str, id: JobId) -> bool {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.purge(&tenant(name), id).await.unwrap(),
            EitherQueue::Memory(queue) => queue.purge(&tenant(name), id),
        }
    }

    pub(super) async fn queue_set(&self, name: &str, flow: Flow) {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.queue_set(name, flow).await.unwrap(),
            EitherQueue::Memory(queue) => queue.queue_set(name, flow),
        }
    }

    pub(super) async fn partition_queue_set(&self, name: &str, queue_name: &str, flow: Flow) {
        let tenant = tenant(name);
        match &self.queue {
            EitherQueue::Redis { queue, .. } => {
                queue.partition_queue_set(&tenant, queue_name, flow).await.unwrap();
            }
            EitherQueue::Memory(queue) => queue.partition_queue_set(&tenant, queue_name, flow),
        }
    }

    pub(super) async fn fetch(&self, limit: usize) -> Vec<Claimed> {
        match &self.queue {
            EitherQueue::Redis { queue, attempt } => {
                attempt.set(attempt.get() + 1);
                let (attempt, skills) = (attempt.get(), &self.skills);
                let request = FetchRequest {
                    worker: "w",
                    attempt,
                    shard: 0,
                    turn: None,
                    skills,
                    limit,
                    quantum: QUANTUM,
                };
                match queue.fetch(request).await.unwrap() {
                    Fetched::Claim(claim) => {
                        claim.jobs.into_iter().map(|job| Claimed::redis(claim.fence, job)).collect()
                    }
                    Fetched::Nothing { .. } => Vec::new(),
                }
            }
            EitherQueue::Memory(queue) => {
                queue.claim(&self.skills, limit, QUANTUM as usize).into_iter().map(Claimed::memory).collect()
            }
        }
    }

    /// The one job that may run now.
    pub(super) async fn fetch_one(&self) -> Claimed {
        let mut jobs = self.fetch(1).await;
        jobs.pop().expect("a job may run")
    }

    pub(super) async fn try_finish(
        &self,
        job: &Claimed,
        finish: impl Into<Finish>,
    ) -> Result<bool, QueueError> {
        match (&self.queue, &job.handle) {
            (EitherQueue::Redis { queue, .. }, Handle::Redis(claimed)) => {
                let finished = FinishedJob::new(claimed, job.fence, finish);
                Ok(queue.finish(&[finished]).await?[0])
            }
            (EitherQueue::Memory(queue), Handle::Memory(fetched)) => queue.finish(fetched, &finish.into()),
            _ => panic!("a job of the other queue"),
        }
    }

    pub(super) async fn finish(&self, job: &Claimed, finish: impl Into<Finish>) -> bool {
        self.try_finish(job, finish).await.unwrap()
    }

    pub(super) async fn complete(&self, jobs: &[Claimed]) {
        for job in jobs {
            assert!(self.finish(job, Verdict::Completed).await);
        }
    }

    pub(super) async fn renew(&self, job: &Claimed) -> bool {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.renew(0, &[job.fence]).await.unwrap()[0],
            EitherQueue::Memory(queue) => queue.renew(job.fence),
        }
    }

    /// Sweeps for lost claims. The jobs that were quarantined.
    pub(super) async fn reap(&self) -> Vec<JobId> {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => {
                let reaped = queue.reap(0, 100).await.unwrap();
                reaped.quarantined.iter().map(|(_, id)| id.parse().unwrap()).collect()
            }
            EitherQueue::Memory(queue) => queue.reap().into_iter().map(|job| job.id).collect(),
        }
    }

    /// The workers of all present claims vanish.
    pub(super) async fn let_die(&self) -> Vec<JobId> {
        self.clock.advance(MemoryQueue::LEASE + Duration::from_millis(1));
        self.reap().await
    }

    pub(super) async fn lookup(&self, name: &str, id: JobId) -> Option<JobStatus> {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.lookup(&tenant(name), id).await.unwrap(),
            EitherQueue::Memory(queue) => queue.lookup(&tenant(name), id),
        }
    }

    pub(super) async fn stats(&self, name: &str) -> QueueStats {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.stats(&tenant(name)).await.unwrap(),
            EitherQueue::Memory(queue) => queue.stats(&tenant(name)),
        }
    }

    pub(super) async fn kept(&self, name: &str, kept: Kept) -> Vec<KeptJob> {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.kept(&tenant(name), kept, 100).await.unwrap(),
            EitherQueue::Memory(queue) => queue.kept(&tenant(name), kept, 100),
        }
    }

    pub(super) async fn redrive(&self, name: &str, id: JobId) -> Redriven {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.redrive(&tenant(name), id).await.unwrap(),
            EitherQueue::Memory(queue) => queue.redrive(&tenant(name), id),
        }
    }

    pub(super) async fn partition_set(&self, name: &str, share: PartitionShare) {
        match &self.queue {
            EitherQueue::Redis { queue, .. } => queue.partition_set(&tenant(name), share).await.unwrap(),
            EitherQueue::Memory(queue) => queue.partition_set(&tenant(name), &share),
        }
    }
}

fn clock() -> ManualClock {
    ManualClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).unwrap())
}
