//! The typed interface to the queue: behaviour that only signed jobs of tenants can show. The queue's own tests are in
//! `jobs/queue/tests`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use fair_queue::testing::{RedisCluster, shared_redis_url};
use jobs::clock::{Clock as _, ManualClock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampError, StampKeys, StampedJob, Stamper};
use jobs::queue::{
    Claim, FetchRequest, Fetched, FinishedJob, JobFilter, Kept, Queue, QueueConfig, Skill, Verdict, skill_of,
};
use jobs::tenant::{Actor, Authenticated, Identity, KbId, Permission, Role, TenantContext, TenantId};
use jobs::{Job, JobId};
use serde::{Deserialize, Serialize};

/// A job type that exists only in these tests.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ping {
    n: u32,
}

impl Job for Ping {
    const TYPE: &'static str = "test.ping";
    const QUEUE: &'static str = "test";
    const PERMISSION: Permission = Permission::DocumentCreate;
}

/// A queue with keys of its own, on a clock that only the test moves.
struct Harness {
    queue: Queue,
    clock: ManualClock,
    stamper: Stamper,
    skills: Vec<Skill>,
    attempt: Cell<u64>,
}

fn config() -> QueueConfig {
    let prefix = format!("test-{}", JobId::generate(SystemClock.now()));
    QueueConfig { prefix, ..jobs::queue::config(shared_redis_url().into()) }
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

impl Harness {
    async fn new() -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).unwrap());
        let config = QueueConfig { clock: Some(Arc::new(clock.clone())), ..config() };
        let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
        let stamper = Stamper::new(keys, Arc::new(clock.clone()));
        let queue = Queue::connect(config).await.unwrap();
        Self { queue, clock, stamper, skills: vec![skill_of::<Ping>()], attempt: 0.into() }
    }

    fn ping(&self, tenant: &str) -> StampedJob {
        let context = TenantContext::for_tests(tenant);
        self.stamper.stamp(&context, &Ping::default(), EnqueueOptions::default()).unwrap()
    }

    async fn push(&self, jobs: &[StampedJob]) {
        assert_eq!(self.queue.push(jobs).await.unwrap().accepted, jobs.len());
    }

    async fn fetch(&self, limit: usize) -> Claim {
        self.attempt.set(self.attempt.get() + 1);
        let request = FetchRequest {
            worker: "w1",
            attempt: self.attempt.get(),
            shard: 0,
            turn: None,
            skills: &self.skills,
            limit,
            quantum: 2,
        };
        let fetched = self.queue.fetch(request).await.unwrap();
        let Fetched::Claim(claim) = fetched else { unreachable!("nothing waits: {fetched:?}") };
        claim
    }

    async fn finish(&self, claim: &Claim, index: usize, verdict: Verdict) {
        let finished = FinishedJob::new(&claim.jobs[index], claim.fence, verdict);
        assert!(self.queue.finish(&[finished]).await.unwrap()[0]);
    }

    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(shared_redis_url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{{q.0}}:{name}", self.queue.config().prefix)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Large {
    text: String,
}

impl Job for Large {
    const TYPE: &'static str = "test.large";
    const QUEUE: &'static str = "test";
}

#[tokio::test]
async fn case_34_a_payload_that_belongs_into_a_store_is_refused() {
    let h = Harness::new().await;
    let job = Large { text: "x".repeat(64 * 1024) };
    let refused = h.stamper.stamp(&TenantContext::for_tests("acme"), &job, EnqueueOptions::default());
    assert!(matches!(refused, Err(StampError::TooLarge { size_bytes }) if size_bytes > 64 * 1024));
}

/// The message names the product's own setting and command.
#[tokio::test]
async fn another_number_of_shards_is_refused_with_the_way_out() {
    let config = QueueConfig { shards: 4, ..config() };
    Queue::connect(config.clone()).await.unwrap();
    for wanted in [1, 3, 5] {
        let error = Queue::connect(QueueConfig { shards: wanted, ..config.clone() }).await.unwrap_err();
        let text = error.to_string();
        let fix = format!("tenantry shards --to {wanted}");
        for part in [&format!("TENANTRY_SHARDS is {wanted}"), "TENANTRY_SHARDS=4", &fix] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// The other user of Redis, the stores' cache, takes the same URL.
#[tokio::test]
async fn the_cache_of_the_stores_is_on_the_same_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = stores::StoresConfig::embedded(data.path().to_owned(), cluster.url().into());
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    for name in (0..40).map(|n| format!("tenant-{n}")) {
        let cache = opened.stores.scoped(&TenantContext::for_tests(&name)).cache();
        cache.put("key", &name, Duration::from_secs(60)).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap(), Some(name));
        cache.delete("key").await.unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test stands in for the API")]
fn in_kb(kb: &KbId) -> TenantContext {
    TenantContext::for_request(Authenticated {
        tenant_id: tenant("acme"),
        epoch: 0,
        kb_id: Some(kb.clone()),
        actor: Actor::User(Identity::product("test").unwrap()),
        role: Role::Admin,
        permissions: Role::Admin.permissions(),
    })
}

/// Few of one knowledge base among many of another: each page is a bounded amount of work, and the walk finds all.
#[tokio::test]
async fn a_filter_pages_through_many_jobs_that_it_leaves_out() {
    let h = Harness::new().await;
    let (acme, papers): (_, KbId) = (tenant("acme"), "papers".parse().unwrap());
    let of = |kb: &KbId| {
        let context = in_kb(kb);
        h.stamper.stamp(&context, &Ping::default(), EnqueueOptions::default()).unwrap()
    };
    let board: KbId = "board".parse().unwrap();
    let mut expected = BTreeSet::new();
    for _ in 0..4 {
        let many: Vec<_> = (0..2_000).map(|_| of(&board)).collect();
        for jobs in many.chunks(500) {
            h.push(jobs).await;
        }
        let few = [of(&papers), of(&papers)];
        h.push(&few).await;
        expected.extend(few.iter().map(StampedJob::id));
    }
    let filter = JobFilter { kb: Some(papers.clone()), ..JobFilter::default() };
    let (mut found, mut after, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = h.queue.list(&acme, &filter, after.as_ref(), 3).await.unwrap();
        found.extend(page.jobs.iter().map(|job| job.id));
        assert!(page.jobs.iter().all(|job| job.kb.as_ref() == Some(&papers)));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    assert!((3..=6).contains(&pages), "{pages} pages");
    assert_eq!(h.queue.stats_of_kb(&acme, &papers).await.unwrap(), None, "too many to look at");
    let (first, more) = h.queue.first_matching(&acme, &filter, 7).await.unwrap();
    assert_eq!((first.len(), more), (7, true));
}

#[tokio::test]
async fn jobs_of_one_knowledge_base_are_counted() {
    let h = Harness::new().await;
    let (acme, papers): (_, KbId) = (tenant("acme"), "papers".parse().unwrap());
    let context = in_kb(&papers);
    let later = EnqueueOptions {
        scheduled_at: Some(h.clock.now() + TimeDelta::seconds(60)),
        ..EnqueueOptions::default()
    };
    let stamp = |options| h.stamper.stamp(&context, &Ping::default(), options).unwrap();
    h.push(&[stamp(EnqueueOptions::default())]).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Discarded { code: "x", reason: String::new() }).await;
    h.push(&[stamp(later), stamp(EnqueueOptions::default()), h.ping("acme"), h.ping("acme")]).await;
    let stats = h.queue.stats_of_kb(&acme, &papers).await.unwrap().unwrap();
    assert_eq!((stats.scheduled, stats.available, stats.discarded, stats.open()), (1, 1, 1, 2));
    assert_eq!(stats.undeclared, [("test.ping@1".to_owned(), 1)].into());
}

/// An envelope that was stamped for another tenant is seen by its reason, not by its contents.
#[tokio::test]
async fn what_is_stamped_for_another_tenant_says_nothing_of_it() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let (own, theirs) = (h.ping("acme"), h.ping("globex"));
    h.push(std::slice::from_ref(&own)).await;
    let mut redis = h.redis().await;
    let record: String =
        redis::cmd("HGET").arg(h.key("e")).arg(own.id().to_string()).query_async(&mut redis).await.unwrap();
    let moved = record.replace(own.wire(), theirs.wire());
    for id in [own.id(), theirs.id()] {
        let () = redis::cmd("HSET")
            .arg(h.key("e"))
            .arg(id.to_string())
            .arg(&moved)
            .query_async(&mut redis)
            .await
            .unwrap();
    }
    let () = redis::cmd("RPUSH")
        .arg(h.key("t:acme:0.1"))
        .arg(theirs.id().to_string())
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(
        h.queue.list(&acme, &JobFilter::default(), None, 100).await.unwrap().jobs.len(),
        0,
        "not before it is in quarantine"
    );
    let claim = h.fetch(2).await;
    assert_eq!(claim.jobs.len(), 2);
    for index in 0..2 {
        h.finish(&claim, index, Verdict::Quarantined { code: "foreign_queue", reason: String::new() }).await;
    }
    let page = h.queue.kept_page(&acme, Kept::Quarantined, &JobFilter::default(), None, 10).await.unwrap();
    let foreign: BTreeMap<_, _> =
        page.jobs.iter().map(|entry| (entry.job.id, (entry.said.is_some(), entry.has_foreign_id))).collect();
    assert_eq!(foreign, [(own.id(), (false, false)), (theirs.id(), (false, true))].into());
    assert_eq!(page.jobs[0].job.reason.code, "foreign_queue");
    assert!(h.queue.inspect(&acme, &[own.id()]).await.unwrap()[0].is_none());
}
