use api_thin::ApiRules;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api_thin::program::StorageSettings;
use chrono::{DateTime, Utc};
use ingest::{Egress, ExtractionSettings};
use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper};
use jobs::plan::Plans;
use jobs::queue::{Queue, QueueConfig};
use jobs::tenant::TenantContext;
use jobs::webhook::TargetRules;
use jobs::{Job, JobId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use stores::{Opened, Stores, StoresConfig};
use tenantry::dev_secrets::DevSecrets;
use tenantry::system::{System, SystemOptions};
use walkdir::WalkDir;
use worker::settings::PoolSettings;
use worker::{ConnectedWorker, Worker};

use super::tenant::TestTenant;
use crate::bed::Http;
use crate::wait::wait_for;
use fair_queue::testing::shared_redis_url;

static BEDS: AtomicU32 = AtomicU32::new(0);
static TENANTS: AtomicU32 = AtomicU32::new(0);

/// A system with API, worker and scheduler, and access to its stores for tests.
pub struct Bed {
    system: System,
    secrets: DevSecrets,
    redis_url: SecretString,
    queue_prefix: String,
    clock: SharedClock,
    /// What a further worker is started with.
    stores: StoresConfig,
    queue: QueueConfig,
    pool: PoolSettings,
    extraction: ExtractionSettings,
    // Removed with everything in it when the bed goes.
    data: tempfile::TempDir,
}

impl Bed {
    /// A system of this test's own on embedded stores. It shares a Redis with other beds, under a prefix of
    /// its own.
    ///
    /// # Panics
    /// When the system does not start.
    pub async fn embedded() -> Self {
        Self::embedded_at(Arc::new(SystemClock)).await
    }

    /// The same with a clock that the test holds.
    pub async fn embedded_at(clock: SharedClock) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        Self::embedded_with(data, clock).await
    }

    /// The same with a language model, at its `OPENAI_BASE_URL`.
    pub async fn embedded_asking(model_url: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let storage = StorageSettings::embedded(data.path().to_owned());
        let stores = storage.stores(shared_redis_url().into()).expect("embedded stores need no server");
        Self::asking(data, stores, model_url).await
    }

    pub(super) async fn asking(data: tempfile::TempDir, stores: StoresConfig, model_url: &str) -> Self {
        let settings = (queue_of(&stores), pool(), asking(model_url));
        Self::start_with(data, stores, settings, Arc::new(SystemClock)).await
    }

    /// The same in a directory of the test's choice.
    pub async fn embedded_in(data: tempfile::TempDir) -> Self {
        Self::embedded_with(data, Arc::new(SystemClock)).await
    }

    async fn embedded_with(data: tempfile::TempDir, clock: SharedClock) -> Self {
        let storage = StorageSettings::embedded(data.path().to_owned());
        let stores = storage.stores(shared_redis_url().into()).expect("embedded stores need no server");
        Self::start(data, stores, clock).await
    }

    /// A system of this test's own on a Redis that the test may break, in `shards` parts. It looks for lost work every
    /// second.
    ///
    /// # Panics
    /// When the system does not start.
    pub async fn on_redis(redis_url: &str, shards: u16) -> Self {
        let (data, stores) = embedded_on(redis_url);
        Self::breakable(data, stores, (shards, 1)).await
    }

    /// The same, but that it does not look for lost work: the test does.
    ///
    /// # Panics
    /// When the system does not start.
    pub async fn on_redis_alone(redis_url: &str) -> Self {
        let (data, stores) = embedded_on(redis_url);
        Self::breakable(data, stores, (1, 86_400)).await
    }

    pub(super) async fn breakable(
        data: tempfile::TempDir,
        stores: StoresConfig,
        (shards, reconcile_s): (u16, u32),
    ) -> Self {
        let queue = QueueConfig { shards, ..queue_of(&stores) };
        let pool = PoolSettings { reconcile_s, ..pool() };
        let settings = (queue, pool, ExtractionSettings::default());
        Self::start_with(data, stores, settings, Arc::new(SystemClock)).await
    }

    pub(super) async fn start(data: tempfile::TempDir, stores: StoresConfig, clock: SharedClock) -> Self {
        let settings = (queue_of(&stores), pool(), ExtractionSettings::default());
        Self::start_with(data, stores, settings, clock).await
    }

    async fn start_with(
        data: tempfile::TempDir,
        stores: StoresConfig,
        (queue, pool, extraction): (QueueConfig, PoolSettings, ExtractionSettings),
        clock: SharedClock,
    ) -> Self {
        let redis_url = stores.redis_url.clone();
        let secrets = DevSecrets::load_or_create(data.path()).expect("the bed's secrets");
        let queue_prefix = queue.prefix.clone();
        let options = (queue.clone(), pool.clone(), extraction.clone());
        let system = launch(stores.clone(), options, secrets.clone(), Arc::clone(&clock)).await;
        Self { system, secrets, redis_url, queue_prefix, clock, stores, queue, pool, extraction, data }
    }

    /// One more worker on the same queue and the same stores, before it takes its first job.
    ///
    /// # Panics
    /// When it does not connect.
    pub async fn another_worker(&self) -> ConnectedWorker {
        let keys = StampKeys::parse(&self.secrets.stamp_keys).expect("the bed's keys");
        let worker = Worker::builder(self.queue.clone(), keys, self.stores.clone()).pool(self.pool.clone());
        let worker = worker.clock(Arc::clone(&self.clock));
        let worker = ingest::equip(worker, &self.extraction).expect("the usual tools");
        let targets = TargetRules { loopback: true, ..TargetRules::default() };
        let worker = worker.state(Egress::new(targets).expect("a client"));
        worker.connect().await.expect("another worker connects")
    }

    /// First part of the queue's keys on Redis.
    #[must_use]
    pub fn queue_prefix(&self) -> &str {
        &self.queue_prefix
    }

    /// The present moment, as the bed sees it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The bed's data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The files below the data directory that hold `word`.
    ///
    /// # Panics
    /// When a file cannot be read.
    #[must_use]
    pub fn files_with(&self, word: &str) -> Vec<PathBuf> {
        let entries = WalkDir::new(self.data_dir()).into_iter().filter_map(Result::ok);
        let holds = |path: &Path| match fs::read(path) {
            Ok(bytes) => bytes.windows(word.len()).any(|part| part == word.as_bytes()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
        files.filter(|path| holds(path)).collect()
    }

    /// Waits until no file below the data directory holds `word`.
    pub async fn word_is_gone(&self, word: &str) {
        wait_for("the word to be in no file", async || {
            let files = self.files_with(word);
            if files.is_empty() { Ok(()) } else { Err(files) }
        })
        .await;
    }

    /// The stores and what looks across tenants.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        self.system.opened()
    }

    /// Signs with the system's keys.
    #[must_use]
    pub fn stamper(&self) -> &Stamper {
        self.system.stamper()
    }

    /// The address that the API listens on.
    #[must_use]
    pub fn url(&self) -> String {
        self.system.url()
    }

    /// A client with the operator's key.
    #[must_use]
    pub fn operator(&self) -> Http {
        Http::new(&self.url(), self.secrets.operator_key.expose_secret())
    }

    /// The system's keys.
    #[must_use]
    pub fn secrets(&self) -> &DevSecrets {
        &self.secrets
    }

    /// The Redis that the bed uses.
    #[must_use]
    pub fn redis_url(&self) -> &SecretString {
        &self.redis_url
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        self.system.queue()
    }

    /// The stores.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.system.opened().stores
    }

    /// Two active tenants whose ids could be mistaken for each other.
    pub async fn look_alikes(&self) -> (TestTenant, TestTenant) {
        let number = TENANTS.fetch_add(1, Ordering::Relaxed);
        let first = format!("acme-{}-{number}", std::process::id());
        let second = format!("{first}-2");
        (self.provision(&first).await, self.provision(&second).await)
    }

    /// Provisions a tenant through the API and waits until it is active.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn provision(&self, id: &str) -> TestTenant {
        let answer = self.operator().post("/api/v1/tenants", &json!({ "id": id, "name": id })).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let key = answer.body["api_key"].as_str().expect("the answer shows the first key").to_owned();
        let tenant = TestTenant::new(id, Http::new(&self.url(), &key));
        wait_for("the tenant to be active", async || {
            let answer = tenant.http.get(&format!("/api/v1/tenants/{id}")).await;
            if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
        })
        .await;
        tenant
    }

    /// Stamps a job for a tenant with the system's own keys and pushes it, past the API.
    ///
    /// # Panics
    /// When the queue does not take it.
    pub async fn push<J: Job>(&self, tenant: &TestTenant, job: &J) -> JobId {
        self.push_with(tenant, job, EnqueueOptions::default()).await
    }

    /// The same for a job that differs from the usual of its type.
    ///
    /// # Panics
    /// As [`Bed::push`].
    pub async fn push_with<J: Job>(&self, tenant: &TestTenant, job: &J, options: EnqueueOptions) -> JobId {
        let context = TenantContext::for_tests(&tenant.id);
        let stamped = self.system.stamper().stamp(&context, job, options);
        let stamped = stamped.expect("the test's context may do anything");
        self.queue().push(std::slice::from_ref(&stamped)).await.expect("the queue takes a job");
        stamped.id()
    }

    /// Waits until the tenant has no job left that will run.
    pub async fn run_until_empty(&self, tenant: &TestTenant) {
        let id = tenant.id.parse().expect("a test names a valid tenant");
        wait_for("the tenant's queue to be empty", async || {
            let stats = self.queue().stats(&id).await.map_err(|error| error.to_string())?;
            if stats.open() == 0 { Ok(()) } else { Err(format!("{stats:?}")) }
        })
        .await;
    }

    /// Waits until a job has ended, and tells how: its final view in the API.
    pub async fn ended(&self, tenant: &TestTenant, job: JobId) -> serde_json::Value {
        wait_for("the job to end", async || {
            let answer = tenant.http.get(&format!("/api/v1/tenants/{}/jobs/{job}", tenant.id)).await;
            match answer.body["state"].as_str() {
                Some("completed" | "discarded" | "cancelled" | "quarantined") => Ok(answer.body),
                _ => Err(answer),
            }
        })
        .await
    }
}

fn queue_prefix() -> String {
    let number = BEDS.fetch_add(1, Ordering::Relaxed);
    format!("bed-{}-{number}-{:08x}", std::process::id(), rand::random::<u32>())
}

fn embedded_on(redis_url: &str) -> (tempfile::TempDir, StoresConfig) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let storage = StorageSettings::embedded(data.path().to_owned());
    let stores = storage.stores(redis_url.into()).expect("embedded stores need no server");
    (data, stores)
}

fn queue_of(stores: &StoresConfig) -> QueueConfig {
    QueueConfig { prefix: queue_prefix(), ..jobs::queue::config(stores.redis_url.clone()) }
}

fn asking(model_url: &str) -> ExtractionSettings {
    ExtractionSettings { openai_base_url: Some(model_url.to_owned()), ..ExtractionSettings::default() }
}

fn pool() -> PoolSettings {
    PoolSettings { concurrency: 8, lease_s: 10, stop_s: 10, ..PoolSettings::default() }
}

async fn launch(
    stores: StoresConfig,
    (queue, pool, extraction): (QueueConfig, PoolSettings, ExtractionSettings),
    secrets: DevSecrets,
    clock: SharedClock,
) -> System {
    // Receivers of tests are on this machine.
    let targets = TargetRules { loopback: true, ..TargetRules::default() };
    let system = System::start(SystemOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        queue,
        stores,
        secrets,
        pool,
        extraction,
        plans: Plans::default(),
        api: ApiRules { webhooks: targets, ..ApiRules::default() },
        clock,
    });
    system.await.expect("the bed starts")
}
