//! What was accepted while the queue was away is pushed when it is back: at once, however much it is, and past rows
//! that cannot be pushed.

use std::sync::Arc;
use std::time::Duration;

use fair_queue::testing::RedisServer;
use jobs::Job;
use jobs::clock::Clock as _;
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper, Verifier};
use jobs::queue::{Queue, QueueConfig};
use jobs::tenant::TenantContext;
use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};
use stores::OutboxRow;
use stores::model::Acceptance;
use tests::api::{Api, ApiOptions};
use tests::trips::Trips;
use tests::wait::wait_for;
use tokio_util::sync::CancellationToken;
use worker::outbox::Relay;

/// A job of which a tenant may have any number.
#[derive(Debug, Serialize, Deserialize)]
struct Note {}

impl Job for Note {
    const TYPE: &'static str = "test.note";
    const QUEUE: &'static str = "test";
}

/// An outbox and a queue, without a worker. Only the test moves the clock.
struct Outbox {
    api: Api,
    relay: Relay,
    keys: StampKeys,
    place: Option<OutboxRow>,
    stop: CancellationToken,
    trips: Trips,
}

impl Outbox {
    async fn on(redis: &RedisServer) -> Self {
        let trips = Trips::watch();
        let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
        let keys = StampKeys::parse(&StampKeys::generate("relay")).unwrap();
        let clock = Arc::new(api.clock.clone());
        let verifier =
            Verifier::new(keys.clone(), Arc::clone(&api.opened.directory) as _, Arc::clone(&clock) as _);
        let outbox = Arc::clone(&api.opened.outbox);
        let relay = Relay { outbox, queue: api.queue.clone(), verifier, clock };
        Self { api, relay, keys, place: None, stop: CancellationToken::new(), trips }
    }

    /// Accepts jobs of a tenant that nothing has pushed, and lets them become old enough.
    async fn accept(&self, tenant: &str, count: usize) {
        let context = TenantContext::for_tests(tenant);
        let stamper = Stamper::new(self.keys.clone(), Arc::new(self.api.clock.clone()));
        let stamp = |_| stamper.stamp(&context, &Note {}, EnqueueOptions::default()).unwrap();
        let acceptance = Acceptance { jobs: (0..count).map(stamp).collect(), ..Acceptance::default() };
        let catalog = self.api.opened.stores.scoped(&context).catalog();
        catalog.accept(&acceptance, self.api.clock.now()).await.unwrap();
        self.api.clock.advance(Duration::from_secs(10));
    }

    /// What one look pushed, and how many pages it read.
    async fn relayed(&mut self) -> (usize, usize) {
        let _ = self.trips.take();
        let pushed = self.relay.relay(&mut self.place, &self.stop).await.unwrap();
        let pages = self.trips.take().into_iter().filter(|trip| trip == "outbox.outbox_due").count();
        (pushed, pages)
    }

    async fn queued(&self, tenant: &str) -> u64 {
        self.api.queue.stats(&tenant.parse().unwrap()).await.unwrap().available
    }
}

#[tokio::test]
async fn all_of_it_is_pushed_in_one_go() {
    let redis = RedisServer::start(&[]).unwrap();
    let mut outbox = Outbox::on(&redis).await;
    outbox.accept("acme", 1050).await;
    assert_eq!(outbox.relayed().await, (1050, 11));
    assert_eq!((outbox.queued("acme").await, outbox.api.outbox_len().await), (1050, 0));
    assert_eq!(outbox.relayed().await, (0, 1));
    // A full page may be the last one.
    outbox.accept("acme", 100).await;
    assert_eq!(outbox.relayed().await, (100, 2));
    // A worker that is asked to stop does not push everything first.
    outbox.accept("acme", 250).await;
    outbox.stop.cancel();
    assert_eq!(outbox.relayed().await, (100, 1));
}

#[tokio::test]
async fn a_queue_that_is_away_is_tried_once_at_a_time() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let mut outbox = Outbox::on(&redis).await;
    outbox.accept("acme", 250).await;
    redis.stop().unwrap();
    for _ in 0..4 {
        assert_eq!(outbox.relayed().await, (0, 1));
    }
    assert_eq!(outbox.api.outbox_len().await, 250);
    redis.resume().unwrap();
    let acme = "acme".parse().unwrap();
    wait_for("the queue to answer", async || outbox.api.queue.stats(&acme).await).await;
    while outbox.api.outbox_len().await > 0 {
        assert_ne!(outbox.relayed().await, (0, 1));
    }
    assert_eq!(outbox.queued("acme").await, 250);
}

/// Goal: rows of a shard that is away, more than are read at a time, hold up those of no other shard.
#[tokio::test]
async fn a_shard_that_is_away_holds_up_no_other() {
    let redis = RedisServer::start(&[]).unwrap();
    let mut outbox = Outbox::on(&redis).await;
    let prefix = format!("shards-{}", uuid::Uuid::now_v7());
    let config = QueueConfig { prefix, shards: 2, ..outbox.api.queue.config().clone() };
    let queue = Queue::connect(config).await.unwrap();
    outbox.relay.queue = queue.clone();
    let in_shard = |shard: u16| {
        let mut names = (0..).map(|number| format!("tenant-{number}"));
        names.find(|name| queue.home(&name.parse().unwrap()) == shard).unwrap()
    };
    let (away, there) = (in_shard(0), in_shard(1));
    let client = redis::Client::open(redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    // To our program it is a part of another queue, and refuses every call.
    let key = format!("{}:{{q.0}}:shards", queue.config().prefix);
    let _: () = redis.set(&key, 3).await.unwrap();

    outbox.accept(&away, 300).await;
    outbox.accept(&there, 150).await;
    for _ in 0..5 {
        outbox.relayed().await;
    }
    assert_eq!(queue.stats(&there.parse().unwrap()).await.unwrap().available, 150);
    assert_eq!(outbox.api.outbox_len().await, 300);

    let _: () = redis.set(&key, 2).await.unwrap();
    while outbox.api.outbox_len().await > 0 {
        outbox.relayed().await;
    }
    assert_eq!(queue.stats(&away.parse().unwrap()).await.unwrap().available, 300);
}
