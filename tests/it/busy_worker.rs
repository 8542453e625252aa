//! Jobs that keep every core busy that they get, beside leases and the jobs of another tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fair_queue::testing::shared_redis_url;
use jobs::envelope::StampKeys;
use jobs::queue::{JobState, Queue, QueueConfig};
use jobs::tenant::{Actor, Identity, Role, TenantContext, TenantId};
use jobs::{Job, JobError, JobId};
use serde::{Deserialize, Serialize};
use stores::StoresConfig;
use tests::wait::wait_for;
use worker::compute::{Stopped, Turn};
use worker::{Handler, JobContext, Worker};

/// Long enough to be renewed in time on a loaded machine.
const LEASE: Duration = Duration::from_secs(3);
/// More than there are cores, fewer than a worker runs at once.
const GRINDS: usize = 12;

#[derive(Clone, Default)]
struct State {
    started: Arc<AtomicUsize>,
    released: Arc<AtomicBool>,
}

/// Works until it is released.
#[derive(Serialize, Deserialize)]
struct Grind {
    number: usize,
}

impl Job for Grind {
    const TYPE: &'static str = "test.grind";
}

impl Handler for Grind {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let State { started, released } = cx.state::<State>()?.clone();
        started.fetch_add(1, Ordering::SeqCst);
        let grind = move |turn: &Turn| {
            while !released.load(Ordering::Relaxed) {
                turn.check(4096)?;
            }
            Ok::<(), Stopped>(())
        };
        cx.compute().run(grind).await.flatten().map_err(JobError::retry)
    }
}

/// Needs a core for a moment.
#[derive(Serialize, Deserialize)]
struct Glance {}

impl Job for Glance {
    const TYPE: &'static str = "test.glance";
}

impl Handler for Glance {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.compute().run(|_| ()).await.map_err(JobError::retry)
    }
}

async fn person(worker: &Worker, tenant: &str) -> TenantContext {
    let tenant: TenantId = tenant.parse().unwrap();
    worker.tenants().ensure(&tenant, tenant.as_str()).await.unwrap();
    worker
        .tenants()
        .admit(&tenant, Actor::User(Identity::product("ann").unwrap()), Role::Editor)
        .await
        .unwrap()
}

async fn completes(queue: &Queue, who: &TenantContext, job: JobId) {
    wait_for("the job to complete", async || {
        let state = queue.lookup(who.tenant_id(), job).await.unwrap().unwrap().state;
        if state == JobState::Completed { Ok(()) } else { Err(state) }
    })
    .await;
}

/// Were the work done on the runtime's threads, nothing here would ever come to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_without_end_delays_no_lease_and_no_other_tenant() {
    let (data, state) = (tempfile::tempdir().unwrap(), State::default());
    let prefix = format!("busy-{}", uuid::Uuid::now_v7());
    let config = QueueConfig { prefix, lease: LEASE, ..jobs::queue::config(shared_redis_url().into()) };
    let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
    let stores = StoresConfig::embedded(data.path().to_owned(), config.url.clone());
    let queue = Queue::connect(config.clone()).await.unwrap();
    let builder = Worker::builder(config, keys, stores).register::<Grind>().register::<Glance>();
    let worker = builder.state(state.clone()).start().await.unwrap();

    let (heavy, light) = (person(&worker, "heavy").await, person(&worker, "light").await);
    let mut grinds = Vec::new();
    for number in 0..GRINDS {
        grinds.push(worker.enqueuer().enqueue(&heavy, &Grind { number }).await.unwrap());
    }
    wait_for("all to work", async || match state.started.load(Ordering::SeqCst) {
        GRINDS => Ok(()),
        other => Err(other),
    })
    .await;
    let since = Instant::now();
    while since.elapsed() < 2 * LEASE {
        let glance = worker.enqueuer().enqueue(&light, &Glance {}).await.unwrap();
        completes(&queue, &light, glance).await;
    }
    state.released.store(true, Ordering::SeqCst);
    for grind in grinds {
        completes(&queue, &heavy, grind).await;
    }
    // A lease that was renewed too late would have ended its job, which would have come again.
    assert_eq!(state.started.load(Ordering::SeqCst), GRINDS);
    worker.stop(Duration::from_secs(5)).await;
}
