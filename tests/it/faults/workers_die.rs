//! A job that kills its workers is quarantined by the queue, and its on-discard hook runs, on a real Redis.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fair_queue::testing::shared_redis_url;
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper};
use jobs::queue::{FetchRequest, Fetched, JobState, Queue, QueueConfig};
use jobs::tenant::{Actor, Role, TenantId};
use jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use tests::wait::wait_for;
use worker::stores::StoresConfig;
use worker::{Handler, JobContext, Worker};

#[derive(Serialize, Deserialize)]
struct Poison;

/// The tenants whose on-discard hook ran, and the reasons.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Job for Poison {
    const TYPE: &'static str = "test.poison";
}

impl Handler for Poison {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.state::<Told>()?.0.lock().unwrap().push("ran".to_owned());
        Ok(())
    }

    async fn discarded(&self, cx: &JobContext, code: &str, _: &str) -> Result<(), JobError> {
        let line = format!("{} {} {code}", cx.tenant().tenant_id(), cx.job_id());
        cx.state::<Told>()?.0.lock().unwrap().push(line);
        Ok(())
    }
}

/// A worker that takes the job and is never heard of again.
async fn dies_with_the_job(queue: &Queue, attempt: u64) {
    wait_for("the job to be available", async || {
        let request = FetchRequest {
            worker: "ghost",
            attempt,
            shard: 0,
            turn: None,
            skills: &[jobs::queue::skill_of::<Poison>()],
            limit: 1,
            quantum: 1,
        };
        match queue.fetch(request).await {
            Ok(Fetched::Claim(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Goal: a user who waits for the result of a job that killed three workers learns that there will be none.
/// Method: two workers die with the job and a third holds it when a real worker starts, which finds the lapsed lease,
/// has the job quarantined and runs its on-discard hook.
#[tokio::test]
async fn a_job_that_killed_three_workers_is_put_aside_and_its_handler_is_told_once() {
    let data = tempfile::tempdir().unwrap();
    let prefix = format!("die-{}-{:08x}", std::process::id(), rand::random::<u32>());
    let lease = QueueConfig::SHORTEST_LEASE;
    let config = QueueConfig { prefix, lease, ..jobs::queue::config(shared_redis_url().into()) };
    let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
    let stores = || StoresConfig::embedded(data.path().to_owned(), config.url.clone());
    let start = async |told: &Told| {
        let worker = Worker::builder(config.clone(), keys.clone(), stores());
        worker.register::<Poison>().state(told.clone()).start().await.unwrap()
    };
    let told = Told::default();
    let acme: TenantId = "acme".parse().unwrap();
    let worker = start(&told).await;
    worker.tenants().ensure(&acme, "Acme").await.unwrap();
    let ann = worker
        .tenants()
        .admit(&acme, Actor::User("product:ann".parse().unwrap()), Role::Admin)
        .await
        .unwrap();
    worker.stop(Duration::from_secs(5)).await;

    let queue = Queue::connect(config.clone()).await.unwrap();
    let clock = Arc::new(jobs::clock::SystemClock);
    let job = Stamper::new(keys.clone(), clock).stamp(&ann, &Poison, EnqueueOptions::default()).unwrap();
    queue.push(std::slice::from_ref(&job)).await.unwrap();
    for attempt in 1..=2 {
        dies_with_the_job(&queue, attempt).await;
        wait_for("the lease to lapse", async || {
            let reaped = queue.reap(0, 10).await.map_err(|error| error.to_string())?;
            if reaped.returned == 1 { Ok(()) } else { Err(format!("{reaped:?}")) }
        })
        .await;
    }
    dies_with_the_job(&queue, 3).await;

    let worker = start(&told).await;
    let expected = format!("acme {} worker_died", job.id());
    let heard = wait_for("the handler to be told", async || {
        let told = told.0.lock().unwrap().clone();
        if told.is_empty() { Err("not yet") } else { Ok(told) }
    })
    .await;
    assert_eq!(heard, [expected]);
    let status = queue.lookup(&acme, job.id()).await.unwrap().unwrap();
    assert_eq!((status.state, status.deaths, status.attempts), (JobState::Quarantined, 3, 0));
    worker.stop(Duration::from_secs(5)).await;
    assert_eq!(told.0.lock().unwrap().len(), 1, "once, and it never ran");
}
