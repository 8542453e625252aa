//! A queue of its own for each test: own key prefix, own clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use jobs::clock::{ManualClock, SharedClock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::queue::{
    Claim, FetchRequest, Fetched, Finish, FinishedJob, Lane, OnFailure, OpenGroup, Queue, QueueConfig,
    Verdict,
};
use jobs::tenant::{Permission, TenantContext, TenantId};
use jobs::{GroupId, Job, JobId};
use serde::{Deserialize, Serialize};
use tests::services::shared_redis_url;

/// A job type that exists only in these tests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) n: u32,
}

impl Job for Ping {
    const TYPE: &'static str = "test.ping";
    const QUEUE: &'static str = "test";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(10);
}

/// Another one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pong {
    pub(crate) n: u32,
}

impl Job for Pong {
    const TYPE: &'static str = "test.pong";
    const VERSION: u32 = 2;
    const QUEUE: &'static str = "test";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(10);
}

pub(crate) struct Harness {
    pub(crate) queue: Queue,
    pub(crate) clock: ManualClock,
    pub(crate) stamper: Stamper,
    pub(crate) config: QueueConfig,
    pub(crate) lanes: Vec<Lane>,
    attempt: std::cell::Cell<u64>,
}

pub(crate) fn stamper(clock: SharedClock) -> Stamper {
    Stamper::new(StampKeys::parse(&StampKeys::generate("test")).unwrap(), clock)
}

/// Settings for a queue with keys of its own on the server at `url`.
pub(crate) fn config_at(url: String) -> QueueConfig {
    let mut config = QueueConfig::new(url.into());
    config.prefix = format!("test-{}", JobId::generate(SystemClock.now_utc()));
    config
}

trait NowUtc {
    fn now_utc(&self) -> DateTime<chrono::Utc>;
}

impl NowUtc for SystemClock {
    fn now_utc(&self) -> DateTime<chrono::Utc> {
        use jobs::clock::Clock as _;
        self.now()
    }
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
        let stamper = stamper(Arc::new(clock.clone()));
        Self { queue, clock, stamper, config, lanes: vec![Lane::of::<Ping>()], attempt: 0.into() }
    }

    pub(crate) fn stamp<J: Job>(&self, tenant: &str, job: &J, options: EnqueueOptions) -> StampedJob {
        self.stamper.stamp(&TenantContext::for_tests(tenant), job, options).unwrap()
    }

    pub(crate) fn ping(&self, tenant: &str) -> StampedJob {
        self.stamp(tenant, &Ping::default(), EnqueueOptions::default())
    }

    /// A group that `parent` opens, with `children` members.
    pub(crate) fn group(&self, parent: &StampedJob, children: usize) -> (Vec<StampedJob>, OpenGroup) {
        let tenant = parent.tenant_id().as_str();
        let id = GroupId::of(parent.id());
        let member = || EnqueueOptions { group: Some(id), ..EnqueueOptions::default() };
        let children = (0..children).map(|_| self.stamp(tenant, &Ping::default(), member())).collect();
        (children, OpenGroup { id, continuation: self.ping(tenant), on_failure: OnFailure::Continue })
    }

    pub(crate) fn clock_now(&self) -> DateTime<chrono::Utc> {
        use jobs::clock::Clock as _;
        self.clock.now()
    }

    pub(crate) async fn push(&self, jobs: &[StampedJob]) {
        assert_eq!(self.queue.push(jobs).await.unwrap().accepted, jobs.len());
    }

    pub(crate) async fn fetch(&self, limit: usize) -> Claim {
        self.fetch_as("w1", limit).await
    }

    pub(crate) async fn fetch_as(&self, worker: &str, limit: usize) -> Claim {
        self.attempt.set(self.attempt.get() + 1);
        let attempt = self.attempt.get();
        let request =
            FetchRequest { worker, attempt, shard: 0, turn: None, lanes: &self.lanes, limit, quantum: 2 };
        match self.queue.fetch(request).await.unwrap() {
            Fetched::Claim(claim) => claim,
            Fetched::Nothing { virtual_time, .. } => {
                Claim { shard: 0, fence: 0, jobs: Vec::new(), virtual_time }
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
    pub(crate) async fn let_die(&self) -> jobs::queue::Reaped {
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

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(crate) fn ids(claim: &Claim) -> Vec<String> {
    claim.jobs.iter().map(|job| job.id.to_string()).collect()
}
