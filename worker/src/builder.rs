//! Starting a worker from a program of your own.

use std::sync::Arc;

use jobs::JobError;
use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::{StampKeys, Stamper, Verifier};
use jobs::plan::Plans;
use jobs::queue::{Queue, QueueConfig, QueueError};
use jobs::tenant::TenantDirectory;
use stores::{InvalidStores, Opened, StoresConfig};
use tower::{Layer, Service};

use crate::activity::Recorder;
use crate::compute::Compute;
use crate::context::{Shared, State};
use crate::handler::Handler;
use crate::history::History;
use crate::layer::{JobRequest, JobService, Stack};
use crate::process::Processor;
use crate::registry::Registry;
use crate::run::{ConnectedWorker, Worker};
use crate::settings::PoolSettings;
use crate::tenants::Tenants;

/// A worker to be started. Made by [`Worker::builder`]; only job types have to be added.
///
/// ```no_run
/// use jobs::envelope::{StampKeys, Stamper, Verifier};
/// use jobs::queue::QueueConfig;
/// use jobs::tenant::{Actor, Identity, Role};
/// use jobs::{Job, JobError};
/// use serde::{Deserialize, Serialize};
/// use worker::{Handler, JobContext, Worker};
///
/// #[derive(Serialize, Deserialize)]
/// struct SendInvoice {
///     invoice_id: u64,
/// }
///
/// impl Job for SendInvoice {
///     const TYPE: &'static str = "invoice.send";
/// }
///
/// impl Handler for SendInvoice {
///     async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
///         println!("invoice {} of {}", self.invoice_id, cx.tenant().tenant_id());
///         Ok(())
///     }
/// }
///
/// # async fn example(keys: StampKeys) -> anyhow::Result<()> {
/// let queue = jobs::queue::config("redis://127.0.0.1".into());
/// let stores = stores::StoresConfig::embedded("data".into(), queue.url.clone());
/// let worker = Worker::builder(queue, keys, stores);
/// let worker = worker.register::<SendInvoice>().concurrency(32).start().await?;
///
/// let acme = "acme".parse()?;
/// worker.tenants().ensure(&acme, "Acme Ltd").await?;
/// let ann = Actor::User(Identity::product("ann")?);
/// let ann = worker.tenants().admit(&acme, ann, Role::Editor).await?;
/// worker.enqueuer().enqueue(&ann, &SendInvoice { invoice_id: 7 }).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker runs only after `start`"]
pub struct WorkerBuilder {
    queue: QueueConfig,
    keys: StampKeys,
    stores: StoresConfig,
    registry: Registry,
    layers: Stack,
    state: State,
    directory: Option<Arc<dyn TenantDirectory>>,
    pool: PoolSettings,
    plans: Plans,
    clock: SharedClock,
}

/// A worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No call of [`WorkerBuilder::register`] or [`WorkerBuilder::registry`] named a type.
    #[error("no job type is registered")]
    NothingToDo,
    /// Redis does not answer, or is not set up for a queue.
    #[error("the queue cannot be used")]
    Queue(#[from] QueueError),
    /// A store does not answer, or is not set up.
    #[error("the stores cannot be opened")]
    Stores(#[from] InvalidStores),
}

impl WorkerBuilder {
    pub(crate) fn new(queue: QueueConfig, keys: StampKeys, stores: StoresConfig) -> Self {
        Self {
            queue,
            keys,
            stores,
            registry: Registry::empty(),
            layers: Stack::default(),
            state: State::default(),
            directory: None,
            pool: PoolSettings::default(),
            plans: Plans::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Runs jobs of type `J`. Jobs of types that are not registered wait for a worker that knows them.
    pub fn register<J: Handler>(mut self) -> Self {
        self.registry = self.registry.with::<J>();
        self
    }

    /// Starts from these types, in place of those registered so far. Crate `ingest` has the registry of the
    /// product's own types, for a worker that runs those as well.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Puts a layer around every job. The first one added is the outermost; see [`crate::layer`].
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<JobService> + Send + Sync + 'static,
        L::Service: Service<JobRequest, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<JobRequest>>::Error: Into<JobError>,
        <L::Service as Service<JobRequest>>::Future: Send + 'static,
    {
        self.layers.push(layer);
        self
    }

    /// Gives handlers and layers a value of the embedding program, found by its type: a connection pool, a mail
    /// client. They read it with [`crate::JobContext::state`]. A second value of the same type replaces the first.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// How many jobs run at the same time; 16 unless said otherwise.
    pub const fn concurrency(mut self, jobs: u16) -> Self {
        self.pool.concurrency = if jobs == 0 { 1 } else { jobs };
        self
    }

    /// Replaces the catalog in the worker's stores by the embedding program's own directory, which then says which
    /// tenants exist and what actors may do.
    pub fn directory(mut self, directory: Arc<dyn TenantDirectory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Sets concurrency, lease and limits of long computations together, in place of
    /// [`WorkerBuilder::concurrency`].
    pub fn pool(mut self, settings: PoolSettings) -> Self {
        self.queue.lease = settings.lease();
        self.pool = settings;
        self
    }

    /// What the plan names in the catalog mean; the built-in plans unless set.
    pub fn plans(mut self, plans: Plans) -> Self {
        self.plans = plans;
        self
    }

    /// The clock of the worker; the system clock unless set. The queue has a clock of its own,
    /// [`QueueConfig::clock`].
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Connects to everything and starts to run jobs.
    ///
    /// # Errors
    /// When no type is registered, or something does not answer or is not set up; the text says what to do.
    pub async fn start(self) -> Result<Worker, StartError> {
        Ok(self.connect().await?.start())
    }

    /// Connects to everything without taking a job yet, for a program that uses the queue and the stores of
    /// its worker too.
    ///
    /// # Errors
    /// As for [`WorkerBuilder::start`].
    pub async fn connect(self) -> Result<ConnectedWorker, StartError> {
        if self.registry.is_empty() {
            return Err(StartError::NothingToDo);
        }
        let queue = Queue::connect(self.queue.clone()).await?;
        let opened = stores::open(&self.stores, Arc::clone(&self.clock)).await?;
        let pool = self.pool.clone();
        let (processor, tenants) = self.wire(&opened);
        Ok(ConnectedWorker { queue, opened, processor, tenants, pool })
    }

    /// Builds what a job runs in, the same way for a worker on a queue and for a test bench.
    pub(crate) fn wire(self, opened: &Opened) -> (Processor, Tenants) {
        let directory = self.directory.unwrap_or_else(|| Arc::clone(&opened.directory) as _);
        let (stores, clock) = (opened.stores.clone(), self.clock);
        let tenants =
            Tenants { stores: stores.clone(), directory: Arc::clone(&directory), clock: Arc::clone(&clock) };
        let processor = Processor {
            registry: Arc::new(self.registry),
            verifier: Verifier::new(self.keys.clone(), directory, Arc::clone(&clock)),
            history: History::start(stores.clone()),
            activity: Recorder::new(Arc::clone(&clock)),
            service: self.layers.service(),
            wait_max: self.pool.wait_max(),
            shared: Shared {
                compute: Compute::new(self.pool.compute()),
                state: Arc::new(self.state),
                stamper: Stamper::new(self.keys, Arc::clone(&clock)),
                clock,
                stores,
                plans: Arc::new(self.plans),
            },
        };
        (processor, tenants)
    }
}
