//! A queue of its own for each test: own key prefix, own clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fair_queue::clock::{Clock as _, ManualClock, SystemClock};
use fair_queue::testing::shared_redis_url;
use fair_queue::{
    Branch, Claim, FetchRequest, Fetched, Finish, FinishedJob, GroupId, JobId, Lane, NewJob, OnConflict,
    OnFailure, OpenGroup, PartitionId, Priority, Queue, QueueConfig, Skill, UniqueScope, Verdict,
};
use serde::{Deserialize, Serialize};

/// A type of jobs that exists only in these tests.
pub(crate) trait Job: Serialize {
    const TYPE: &'static str;
    const VERSION: u32 = 1;
    const QUEUE: &'static str = "test";
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) n: u32,
}

impl Job for Ping {
    const TYPE: &'static str = "test.ping";
}

/// Another one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pong {
    pub(crate) n: u32,
}

impl Job for Pong {
    const TYPE: &'static str = "test.pong";
    const VERSION: u32 = 2;
}

pub(crate) fn skill_of<J: Job>() -> Skill {
    Skill::new(J::TYPE, J::VERSION, J::QUEUE)
}

/// How a job differs from the usual.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EnqueueOptions {
    pub(crate) id: Option<JobId>,
    pub(crate) scheduled_at: Option<DateTime<Utc>>,
    pub(crate) lane: Lane,
    pub(crate) priority: Option<Priority>,
    pub(crate) branch: &'static str,
    pub(crate) group: Option<GroupId>,
    pub(crate) unique: Option<Unique>,
}

/// What makes two jobs the same, for how long, and what to do about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unique {
    pub(crate) key: UniqueKey,
    pub(crate) scope: UniqueScope,
    pub(crate) on_conflict: OnConflict,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum UniqueKey {
    Kind,
    Args,
    Named(&'static str),
    Numbered(usize),
}

impl Unique {
    pub(crate) const fn kind() -> Self {
        Self { key: UniqueKey::Kind, scope: UniqueScope::UntilFinished, on_conflict: OnConflict::Keep }
    }

    pub(crate) const fn args() -> Self {
        Self { key: UniqueKey::Args, ..Self::kind() }
    }

    /// Pushing again with the same one within a day is answered with the first job.
    pub(crate) const fn idempotency_key(name: &'static str) -> Self {
        let scope = UniqueScope::Period(Duration::from_secs(24 * 3600));
        Self { key: UniqueKey::Named(name), scope, on_conflict: OnConflict::Keep }
    }

    pub(crate) const fn numbered(number: usize, scope: UniqueScope) -> Self {
        Self { key: UniqueKey::Numbered(number), scope, on_conflict: OnConflict::Keep }
    }

    pub(crate) const fn scope(self, scope: UniqueScope) -> Self {
        Self { scope, ..self }
    }

    pub(crate) const fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self { on_conflict, ..self }
    }
}

const PAD_BYTES: usize = 600;

/// A job that is made at `now`.
pub(crate) fn make<J: Job>(name: &str, job: &J, options: EnqueueOptions, now: DateTime<Utc>) -> NewJob {
    let fields = serde_json::to_string(job).unwrap();
    let comma = if fields == "{}" { "" } else { "," };
    // As large as a usual job of ours.
    let payload = format!("{{\"pad\":\"{}\"{comma}{}", "x".repeat(PAD_BYTES), &fields[1..]);
    let unique = options.unique.map(|Unique { key, scope, on_conflict }| {
        let key = match key {
            UniqueKey::Kind => J::TYPE.to_owned(),
            UniqueKey::Args => format!("{} {fields}", J::TYPE),
            UniqueKey::Named(name) => name.to_owned(),
            UniqueKey::Numbered(number) => format!("key {number}"),
        };
        fair_queue::Unique { key, scope, on_conflict }
    });
    NewJob {
        id: options.id.unwrap_or_else(|| JobId::generate(now)),
        lane: options.lane,
        priority: options.priority.unwrap_or_default(),
        branch: Branch::new(options.branch),
        due: options.scheduled_at,
        group: options.group,
        unique,
        ..NewJob::new(tenant(name), skill_of::<J>(), payload, now)
    }
}

/// Jobs each of which waits for the one before it.
pub(crate) fn chained(jobs: impl IntoIterator<Item = NewJob>) -> Vec<NewJob> {
    jobs.into_iter().map(|job| NewJob { group: Some(GroupId::after(job.id)), ..job }).collect()
}

pub(crate) fn text(job: &NewJob) -> &str {
    std::str::from_utf8(&job.payload).unwrap()
}

pub(crate) struct Harness {
    pub(crate) queue: Queue,
    pub(crate) clock: ManualClock,
    pub(crate) config: QueueConfig,
    pub(crate) skills: Vec<Skill>,
    attempt: std::cell::Cell<u64>,
}

/// Settings for a queue with keys of its own on the server at `url`.
pub(crate) fn config_at(url: String) -> QueueConfig {
    QueueConfig::new(url.into(), &format!("test-{}", JobId::generate(SystemClock.now())))
}

impl Harness {
    /// On a clock that only the test moves.
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).unwrap());
        let mut config = config_at(shared_redis_url());
        config.clock = Some(Arc::new(clock.clone()));
        Self::with(config, clock).await
    }

    pub(crate) async fn with(config: QueueConfig, clock: ManualClock) -> Self {
        let queue = Queue::connect(config.clone()).await.unwrap();
        Self { queue, clock, config, skills: vec![skill_of::<Ping>()], attempt: 0.into() }
    }

    pub(crate) fn job<J: Job>(&self, tenant: &str, job: &J, options: EnqueueOptions) -> NewJob {
        make(tenant, job, options, self.clock.now())
    }

    pub(crate) fn ping(&self, tenant: &str) -> NewJob {
        self.job(tenant, &Ping::default(), EnqueueOptions::default())
    }

    /// A group that `parent` opens, with `children` members.
    pub(crate) fn group(&self, parent: &NewJob, children: usize) -> (Vec<NewJob>, OpenGroup) {
        let tenant = parent.partition.as_str();
        let id = GroupId::of(parent.id);
        let member = || EnqueueOptions { group: Some(id), ..EnqueueOptions::default() };
        let children = (0..children).map(|_| self.job(tenant, &Ping::default(), member())).collect();
        (children, OpenGroup { id, continuation: self.ping(tenant), on_failure: OnFailure::Continue })
    }

    pub(crate) fn clock_now(&self) -> DateTime<chrono::Utc> {
        self.clock.now()
    }

    pub(crate) async fn push(&self, jobs: &[NewJob]) {
        assert_eq!(self.queue.push(jobs).await.unwrap().accepted, jobs.len());
    }

    pub(crate) async fn fetch(&self, limit: usize) -> Claim {
        self.fetch_as("w1", limit).await
    }

    pub(crate) async fn fetch_as(&self, worker: &str, limit: usize) -> Claim {
        self.attempt.set(self.attempt.get() + 1);
        let attempt = self.attempt.get();
        let request =
            FetchRequest { worker, attempt, shard: 0, turn: None, skills: &self.skills, limit, quantum: 2 };
        match self.queue.fetch(request).await.unwrap() {
            Fetched::Claim(claim) => claim,
            Fetched::Nothing { virtual_time, .. } => {
                Claim { shard: 0, fence: 0, jobs: Vec::new(), virtual_time, has_records: true }
            }
        }
    }

    pub(crate) async fn finish(&self, claim: &Claim, index: usize, finish: impl Into<Finish>) -> bool {
        let finished = FinishedJob::new(&claim.jobs[index], claim.fence, finish);
        self.queue.finish(&[finished]).await.unwrap()[0]
    }

    /// Completes everything in `claim`.
    pub(crate) async fn complete(&self, claim: &Claim) {
        for index in 0..claim.jobs.len() {
            assert!(self.finish(claim, index, Verdict::Completed).await);
        }
    }

    /// The worker of the present claims vanishes.
    pub(crate) async fn let_die(&self) -> fair_queue::Reaped {
        self.clock.advance(self.config.lease + Duration::from_millis(1));
        self.queue.reap(0, 100).await.unwrap()
    }

    /// A plain connection, for tests that look at or damage the keys.
    pub(crate) async fn redis(&self) -> redis::aio::MultiplexedConnection {
        use secrecy::ExposeSecret as _;
        plain_connection(self.config.url.expose_secret()).await
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}:{{q.0}}:{name}", self.config.prefix)
    }
}

/// A connection without the 500 ms timeout that is the library's default.
pub(crate) async fn plain_connection(url: &str) -> redis::aio::MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

pub(crate) fn tenant(name: &str) -> PartitionId {
    name.parse().unwrap()
}

pub(crate) fn ids(claim: &Claim) -> Vec<String> {
    claim.jobs.iter().map(|job| job.id.to_string()).collect()
}
