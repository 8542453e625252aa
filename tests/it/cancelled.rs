//! A job that is cancelled while its handler runs, in a worker of a program of one's own, and what the worker tells
//! of itself meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fair_queue::testing::shared_redis_url;
use jobs::envelope::StampKeys;
use jobs::queue::{Cancelled, JobState, Queue, QueueConfig};
use jobs::tenant::{Actor, Role, TenantId};
use jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use stores::StoresConfig;
use stores::metrics::StoreSampler;
use tenantry::health::Health;
use tests::wait::wait_for;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{Handler, JobContext, Worker};

/// The notes of the handlers.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    async fn expect(&self, note: &str) {
        wait_for(note, async || {
            let notes = self.0.lock().unwrap().clone();
            if notes.iter().any(|found| found == note) { Ok(()) } else { Err(notes) }
        })
        .await;
    }
}

/// Runs until its token fires.
#[derive(Serialize, Deserialize)]
struct Endless {}

impl Job for Endless {
    const TYPE: &'static str = "test.endless";
}

impl Handler for Endless {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.state::<Notes>()?.add("started".into());
        cx.cancelled().cancelled().await;
        Err(JobError::retry("told to stop"))
    }

    async fn discarded(&self, cx: &JobContext, code: &str, _: &str) -> Result<(), JobError> {
        cx.state::<Notes>()?.add(format!("discarded {code}"));
        Ok(())
    }
}

async fn start(data: &std::path::Path, notes: &Notes) -> (Worker, Queue, StoreSampler) {
    let queue = QueueConfig {
        prefix: format!("cancelled-{}", uuid::Uuid::now_v7()),
        ..jobs::queue::config(shared_redis_url().into())
    };
    let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
    let stores = StoresConfig::embedded(data.to_owned(), queue.url.clone());
    let observed = Queue::connect(queue.clone()).await.unwrap();
    let builder = Worker::builder(queue, keys, stores).register::<Endless>().state(notes.clone());
    let worker = builder.connect().await.unwrap();
    let sampler = worker.opened().sampler.clone();
    (worker.start(), observed, sampler)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_stops_tidies_up_and_does_not_come_back() {
    let (data, notes) = (tempfile::tempdir().unwrap(), Notes::default());
    let (worker, queue, _) = start(data.path(), &notes).await;
    let acme: TenantId = "acme".parse().unwrap();
    worker.tenants().ensure(&acme, "Acme").await.unwrap();
    let ann = worker
        .tenants()
        .admit(&acme, Actor::User("product:ann".parse().unwrap()), Role::Editor)
        .await
        .unwrap();
    let job = worker.enqueuer().enqueue(&ann, &Endless {}).await.unwrap();
    notes.expect("started").await;
    assert_eq!(queue.cancel(&acme, job).await.unwrap(), Cancelled::Stopping);
    notes.expect("discarded cancelled").await;
    wait_for("the job to end", async || {
        let state = queue.lookup(&acme, job).await.unwrap().unwrap().state;
        if state == JobState::Cancelled { Ok(()) } else { Err(state) }
    })
    .await;
    let stats = queue.stats(&acme).await.unwrap();
    assert_eq!((stats.open(), stats.discarded, stats.cancelled_total), (0, 0, 1));
    worker.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_tells_how_it_is() {
    let (data, notes) = (tempfile::tempdir().unwrap(), Notes::default());
    let (worker, queue, sampler) = start(data.path(), &notes).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tenantry::health::start_metrics().unwrap();
    let health = Health::new(worker.observer(), queue, 16, sampler);
    tokio::spawn(tenantry::health::serve(listener, health, stop.clone()));
    let get = async |path: &str| {
        let reply = reqwest::get(format!("{url}{path}")).await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await.0, 200);
    // Silent connections must not make the worker look dead.
    let address = url.trim_start_matches("http://").parse().unwrap();
    let silent = (0..200).map(|_| tests::api::RawClient::connect(address, 1));
    let _silent = futures::future::join_all(silent).await;
    assert_eq!(get("/healthz").await.0, 200);
    wait_for("the worker to be ready", async || match get("/readyz").await {
        (200, _) => Ok(()),
        other => Err(other),
    })
    .await;
    let acme: TenantId = "acme".parse().unwrap();
    worker.tenants().ensure(&acme, "Acme").await.unwrap();
    let ann = worker
        .tenants()
        .admit(&acme, Actor::User("product:ann".parse().unwrap()), Role::Editor)
        .await
        .unwrap();
    worker.enqueuer().enqueue(&ann, &Endless {}).await.unwrap();
    notes.expect("started").await;
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"tenantry_worker_jobs_in_flight{slots="jobs"} 1"#,
        r#"tenantry_worker_jobs_stuck{slots="jobs"} 0"#,
        r#"tenantry_worker_poll_age_seconds{slots="jobs"} "#,
    ] {
        assert!(metrics.lines().any(|found| found.starts_with(line)), "{line} is not in\n{metrics}");
    }
    stop.cancel();
    worker.stop(Duration::from_secs(5)).await;
}
