//! Starting a worker from a program of your own.

use std::sync::Arc;

use jobs::JobError;
use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::StampKeys;
use jobs::plan::Plans;
use jobs::queue::{Queue, QueueConfig, QueueError};
use jobs::tenant::TenantDirectory;
use stores::{InvalidStores, StoresConfig};
use tower::{Layer, Service};

use crate::context::State;
use crate::handler::Handler;
use crate::layer::{JobRequest, JobService, Stack};
use crate::registry::Registry;
use crate::run::{Parts, Worker};
use crate::settings::{ExtractionSettings, PoolSettings};
use crate::tools::Tools;

/// A worker to be started. Made by [`Worker::builder`]; only job types have to be added.
///
/// ```no_run
/// use jobs::envelope::StampKeys;
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
/// let queue = QueueConfig::new("redis://127.0.0.1".into());
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
    extraction: ExtractionSettings,
    pool: PoolSettings,
    clock: SharedClock,
}

/// A worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody told the worker what to do.
    #[error("no job type is registered")]
    NothingToDo,
    /// Redis does not answer, or is not set up for a queue.
    #[error("the queue cannot be used")]
    Queue(#[from] QueueError),
    /// A store does not answer, or is not set up.
    #[error("the stores cannot be opened")]
    Stores(#[from] InvalidStores),
    /// The extraction settings do not fit together.
    #[error("the tools cannot be made")]
    Tools(#[source] Box<dyn std::error::Error + Send + Sync>),
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
            extraction: ExtractionSettings::default(),
            pool: PoolSettings::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Runs jobs of type `J`. Jobs of types that are not registered wait for a worker that knows them.
    pub fn register<J: Handler>(mut self) -> Self {
        self.registry = self.registry.with::<J>();
        self
    }

    /// Starts from these types, in place of those registered so far: [`Registry::product`] for a worker that
    /// does the product's work as well.
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

    /// Gives handlers and layers something of yours, by its type: a connection pool, a mailer. They read it
    /// with [`crate::JobContext::state`].
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// How many jobs run at the same time; 16 unless said otherwise.
    pub const fn concurrency(mut self, jobs: u16) -> Self {
        self.pool.concurrency = if jobs == 0 { 1 } else { jobs };
        self
    }

    /// Asks your own table of customers which tenants there are and what actors may do, instead of the
    /// catalog in the worker's stores.
    pub fn directory(mut self, directory: Arc<dyn TenantDirectory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Who finds entities, for handlers that use [`crate::JobContext::tools`].
    pub fn extraction(mut self, settings: ExtractionSettings) -> Self {
        self.extraction = settings;
        self
    }

    /// Who tells the worker the time; the machine unless said otherwise. The queue has a clock of its own,
    /// [`QueueConfig::clock`].
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// What a test bench takes over: types, layers, state, and who finds entities.
    #[cfg(feature = "test-support")]
    pub(crate) fn equipment(self) -> (Registry, Stack, State, ExtractionSettings) {
        (self.registry, self.layers, self.state, self.extraction)
    }

    /// Connects to everything and starts to run jobs.
    ///
    /// # Errors
    /// When no type is registered, or something does not answer or is not set up; the text says what to do.
    pub async fn start(self) -> Result<Worker, StartError> {
        if self.registry.is_empty() {
            return Err(StartError::NothingToDo);
        }
        let queue = Queue::connect(self.queue).await?;
        let opened = stores::open(&self.stores, Arc::clone(&self.clock)).await?;
        let tools = Tools::new(&self.extraction, self.pool.compute());
        let tools = tools.map_err(|error| StartError::Tools(error.into()))?;
        let parts = Parts {
            directory: self.directory.unwrap_or_else(|| Arc::clone(&opened.directory) as _),
            queue,
            opened,
            keys: self.keys,
            tools,
            registry: self.registry,
            clock: self.clock,
            plans: Plans::default(),
            layers: self.layers,
            state: self.state,
        };
        Ok(Worker::start(parts, &self.pool))
    }
}
