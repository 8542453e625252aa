//! A worker in a process of its own: this very program, asked for one ignored test.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use ingest::registry::registry_of;
use ingest::{Egress, ExtractionSettings};
use jobs::JobKind;
use jobs::clock::{Clock, SharedClock, SystemClock};
use jobs::envelope::StampKeys;
use jobs::queue::QueueConfig;
use jobs::webhook::TargetRules;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tests::services::ServerUrls;
use tests::wait::wait_for;
use tokio::signal::unix::{SignalKind, signal};
use worker::layer::{self, JobRequest, Next};
use worker::settings::PoolSettings;
use worker::{Registry, Worker};

use super::crash_points::{self, CrashPoint};
use super::ledger::{Entry, Ledger, Ledgers, now_ms};

/// The variable that tells the process what it is.
const SPEC: &str = "CHAOS_WORKER";
/// The test that it runs.
const TEST: &str = "chaos::worker_process::in_a_process_of_its_own";

/// What a worker is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spec {
    /// The servers that it uses.
    pub(super) urls: Urls,
    /// The first part of the queue's keys.
    pub(super) prefix: String,
    pub(super) stamp_keys: String,
    pub(super) data_dir: PathBuf,
    /// The types that it runs; all of them when empty.
    pub(super) kinds: Vec<String>,
    pub(super) point: Option<CrashPoint>,
    pub(super) ledger: PathBuf,
    pub(super) concurrency: u16,
    pub(super) lease_s: u32,
    /// How far its clock is ahead of the real time, in seconds.
    pub(super) ahead_s: i64,
}

/// Where the servers are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Urls {
    pub(super) postgres: String,
    pub(super) redis: String,
    /// MongoDB and Neo4j, where those are used.
    pub(super) others: Option<(String, String)>,
}

/// A clock that is wrong.
#[derive(Debug)]
struct Wrong(TimeDelta);

impl Clock for Wrong {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        SystemClock.now() + self.0
    }
}

/// A worker that runs.
pub(super) struct WorkerProcess {
    child: Child,
    name: String,
}

impl WorkerProcess {
    /// Starts one that is called `name`, and waits until it takes jobs.
    pub(super) async fn start(name: &str, spec: &Spec, ledgers: &Ledgers) -> Self {
        let spec = Spec { ledger: ledgers.path(name), ..spec.clone() };
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--ignored", "--nocapture"])
            .env(SPEC, serde_json::to_string(&spec).unwrap())
            // Closed when this process ends, however it does: then the worker ends too.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut this = Self { child, name: name.to_owned() };
        wait_for("a worker to take jobs", async || {
            let said = ledgers.of(&this.name);
            // One that is killed at once was ready.
            if said.contains(&Entry::Ready) || this.exited().is_some() { Ok(()) } else { Err(said) }
        })
        .await;
        this
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }

    /// Asks it to stop, as a deployment does, and waits until it has.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::TERM);
        wait_for("a worker to stop", async || self.exited().ok_or("running")).await;
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The product's types with these names.
fn registry(kinds: &[String]) -> Registry {
    if kinds.is_empty() {
        return ingest::registry();
    }
    registry_of(JobKind::ALL.iter().filter(|kind| kinds.iter().any(|name| name == kind.as_str())))
}

async fn noted(request: JobRequest, next: Next, ledger: Arc<Ledger>) -> Result<(), jobs::JobError> {
    let job = request.job_id().to_string();
    ledger.note(&Entry::Attempt {
        job: job.clone(),
        kind: request.kind().to_owned(),
        tenant: request.tenant().tenant_id().to_string(),
        attempt: request.attempt(),
        at_ms: now_ms(),
    });
    let done = next.run(request).await;
    ledger.note(&Entry::Ended { job, is_ok: done.is_ok(), at_ms: now_ms() });
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a worker, which the tests of this folder start"]
async fn in_a_process_of_its_own() {
    let Ok(spec) = std::env::var(SPEC) else { return };
    let spec: Spec = serde_json::from_str(&spec).unwrap();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    let ledger = Arc::new(Ledger::open(&spec.ledger));
    crash_points::watch(spec.point, Arc::clone(&ledger));
    let mut stop = signal(SignalKind::terminate()).unwrap();

    let urls = ServerUrls { postgres: spec.urls.postgres, redis: spec.urls.redis, ..ServerUrls::from_env() };
    let stores = match spec.urls.others {
        Some((mongo, neo4j)) => ServerUrls { mongo, neo4j, ..urls.clone() }.stores(&spec.data_dir),
        None => urls.stores_on_postgres_alone(&spec.data_dir),
    };
    let redis = SecretString::from(urls.redis);
    let queue = QueueConfig { prefix: spec.prefix, ..jobs::queue::config(redis) };
    let pool = PoolSettings {
        concurrency: spec.concurrency,
        webhook_concurrency: spec.concurrency,
        lease_s: spec.lease_s,
        reconcile_s: 5,
        ..PoolSettings::default()
    };
    let clock: SharedClock = Arc::new(Wrong(TimeDelta::seconds(spec.ahead_s)));
    let worker = Worker::builder(queue, StampKeys::parse(&spec.stamp_keys.into()).unwrap(), stores)
        .pool(pool)
        .clock(clock);
    let worker = ingest::equip(worker, &ExtractionSettings::default()).unwrap();
    let targets = TargetRules { loopback: true, ..TargetRules::default() };
    let worker = worker.state(Egress::new(targets).unwrap()).registry(registry(&spec.kinds));
    let noting = Arc::clone(&ledger);
    let worker = worker.layer(layer::from_fn(move |request, next| noted(request, next, Arc::clone(&noting))));
    let worker = worker.start().await.unwrap();
    ledger.note(&Entry::Ready);
    stop.recv().await;
    worker.stop(Duration::from_secs(10)).await;
}
