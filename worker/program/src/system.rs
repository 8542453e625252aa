//! API, worker and scheduler in one process, as `tenantry dev`, the demo and the tests run them.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use api_thin::metrics::Sampled;
use api_thin::program::bind;
use api_thin::{ApiConfig, ApiParts, ApiRules, ApiState, InvalidConfig, OneTimeLink};
use ingest::{Egress, ExtractionSettings};
use jobs::clock::SharedClock;
use jobs::envelope::{StampKeys, Stamper};
use jobs::plan::Plans;
use jobs::queue::{Queue, QueueConfig};
use secrecy::SecretString;
use stores::{Opened, StoresConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::settings::PoolSettings;
use worker::{ConnectedWorker, StartError, Worker, WorkerBuilder};

use crate::dev_secrets::DevSecrets;

/// Options of a system.
#[derive(Debug, Clone)]
pub struct SystemOptions {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The stores of all tenants.
    pub stores: StoresConfig,
    /// The job queue. Systems that share a Redis differ in the key prefix.
    pub queue: QueueConfig,
    /// Signing keys and credentials.
    pub secrets: DevSecrets,
    /// Concurrency and limits of the worker.
    pub pool: PoolSettings,
    /// Which extractor finds entities.
    pub extraction: ExtractionSettings,
    /// The plans of tenants.
    pub plans: Plans,
    /// Settings of the API.
    pub api: ApiRules,
    /// The clock of API and worker.
    pub clock: SharedClock,
}

/// A running system.
pub struct System {
    address: SocketAddr,
    link: Arc<OneTimeLink>,
    queue: Queue,
    opened: Opened,
    stamper: Stamper,
    worker: Worker,
    api: JoinHandle<()>,
    stop_api: CancellationToken,
    stop_deadline: Duration,
}

impl System {
    /// Starts API and worker. The API accepts requests when this returns.
    ///
    /// # Errors
    /// When a server does not answer or is not set up; the text names the setting and the fix.
    pub async fn start(options: SystemOptions) -> anyhow::Result<Self> {
        let SystemOptions { listen, stores, queue, secrets, pool, extraction, .. } = options;
        let SystemOptions { plans, api, clock, .. } = options;
        let keys = StampKeys::parse(&secrets.stamp_keys).context(StampKeys::SETTING)?;
        let redis_url = queue.url.clone();
        let worker = Worker::builder(queue, keys, stores).pool(pool.clone()).plans(plans.clone());
        let worker = ingest::equip(worker.clock(Arc::clone(&clock)), &extraction)?;
        let worker = worker.state(Egress::new(api.webhooks.clone())?);
        let worker = connect(worker, &redis_url).await?;
        let (queue, opened, stamper) =
            (worker.queue().clone(), worker.opened().clone(), worker.stamper().clone());
        let operator_key = secrets.operator_key.clone();
        let config = ApiConfig::new(secrets.operator_key, secrets.jwt_secret, secrets.key_secret);
        let link = OneTimeLink::new(operator_key);
        let observer = Arc::new(OnceLock::new());
        let sampled = Sampled::new({
            let observer = Arc::clone(&observer);
            move || observer.get().into_iter().for_each(worker::health::sample)
        });
        let state = ApiState::new(ApiParts {
            stores: opened.stores.clone(),
            directory: Arc::clone(&opened.directory),
            identities: Arc::clone(&opened.identities),
            activity: opened.activity.clone(),
            workers: opened.workers.clone(),
            queue: queue.clone(),
            stamper: stamper.clone(),
            clock,
            config: ApiConfig { plans, rules: api, ..config },
            sampler: opened.sampler.clone(),
            sampled: Some(sampled),
            sign_in_link: Some(Arc::clone(&link)),
        })?;
        let listener = bind("TENANTRY_LISTEN", listen).await?;
        let address = listener.local_addr()?;
        let stop_api = CancellationToken::new();
        let worker = worker.start();
        let _ = observer.set(worker.observer());
        let api = tokio::spawn(api_thin::serve(listener, state, stop_api.clone()));
        let stop_deadline = pool.stop();
        Ok(Self { address, link, queue, opened, stamper, worker, api, stop_api, stop_deadline })
    }

    /// The address on which the API listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// URL of the dashboard that signs in its first visitor as the operator.
    #[must_use]
    pub fn sign_in_url(&self) -> String {
        format!("{}{}", self.url(), self.link.path())
    }

    /// Lets that URL sign in with these credentials as well.
    pub fn sign_in_with(&self, credentials: SecretString) {
        self.link.add(credentials);
    }

    /// The job queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The stores of all tenants.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Signs jobs with this system's keys.
    #[must_use]
    pub fn stamper(&self) -> &Stamper {
        &self.stamper
    }

    /// Stops without waiting for running jobs or requests.
    pub async fn abandon(self) {
        self.stop_api.cancel();
        self.api.abort();
        self.worker.stop(Duration::ZERO).await;
    }

    /// Stops the API first, so that no new jobs are accepted, and then the worker.
    pub async fn stop(self) {
        self.stop_api.cancel();
        let _ = self.api.await;
        self.worker.stop(self.stop_deadline).await;
    }
}

/// Connects a worker. Errors name the setting that has to change.
pub(crate) async fn connect(
    worker: WorkerBuilder,
    redis_url: &SecretString,
) -> anyhow::Result<ConnectedWorker> {
    worker.connect().await.map_err(|error| match error {
        StartError::Queue(error) => InvalidConfig::new("REDIS_URL", error.refusal(redis_url)).into(),
        StartError::Stores(error) => error.into(),
        error @ StartError::NothingToDo => error.into(),
    })
}
