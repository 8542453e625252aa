//! The worker: apalis takes jobs from the queue and hands them to the processor. The only file here that
//! names apalis.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder as ApalisBuilder;
use apalis_core::worker::context::WorkerContext;
use api_thin::program::connect;
use jobs::Enqueuer;
use jobs::clock::SharedClock;
use jobs::envelope::{StampKeys, Stamper, Verifier};
use jobs::plan::Plans;
use jobs::queue::{
    FetchedJob, Finish, JobBackend, Queue, QueueConfig, WorkerObserver, WorkerOptions, WorkerQueue,
};
use jobs::tenant::TenantDirectory;
use stores::{Opened, StoresConfig};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::builder::WorkerBuilder;
use crate::context::{Shared, State};
use crate::history::History;
use crate::layer::Stack;
use crate::limits_sync::LimitsKeeper;
use crate::outbox::Relay;
use crate::periodic::Sweeper;
use crate::process::Processor;
use crate::registry::Registry;
use crate::schedule::Scheduler;
use crate::settings::{ExtractionSettings, PoolSettings};
use crate::tenants::Tenants;
use crate::tools::Tools;

/// How long apalis may take to end after its source has.
const END: Duration = Duration::from_secs(2);

/// What a worker is made of. Programs that embed one begin at [`Worker::builder`].
pub struct Parts {
    /// Where jobs come from.
    pub queue: Queue,
    /// Where data lives.
    pub opened: Opened,
    /// Sign and check stamps.
    pub keys: StampKeys,
    /// What handlers work with.
    pub tools: Tools,
    /// The job types that run here.
    pub registry: Registry,
    /// Says which tenants there are and what actors may do.
    pub directory: Arc<dyn TenantDirectory>,
    /// Tells the time.
    pub clock: SharedClock,
    /// What tenants may use.
    pub plans: Plans,
    pub(crate) layers: Stack,
    pub(crate) state: State,
}

impl Parts {
    /// Connects to everything that the settings name.
    ///
    /// # Errors
    /// When something does not answer or is not set up; the text names the setting and the fix.
    pub async fn open(
        queue: QueueConfig,
        stores: &StoresConfig,
        keys: StampKeys,
        pool: &PoolSettings,
        extraction: &ExtractionSettings,
        clock: SharedClock,
    ) -> anyhow::Result<Self> {
        let queue = connect(QueueConfig { lease: pool.lease(), ..queue }).await?;
        let opened = stores::open(stores, Arc::clone(&clock)).await?;
        let tools = Tools::new(extraction, pool.compute())?;
        let directory = Arc::clone(&opened.directory) as _;
        let (registry, layers, state) = (Registry::product(), Stack::default(), State::default());
        let plans = Plans::default();
        Ok(Self { queue, opened, keys, tools, registry, directory, clock, plans, layers, state })
    }
}

/// A running worker with its scheduler and outbox relay.
pub struct Worker {
    enqueuer: Enqueuer,
    tenants: Tenants,
    queue: WorkerQueue,
    apalis: WorkerContext,
    main: JoinHandle<()>,
    periodic: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Worker {
    /// Begins a worker for job types of your own: which queue, which keys sign its jobs, and where data
    /// lives.
    pub fn builder(queue: QueueConfig, keys: StampKeys, stores: StoresConfig) -> WorkerBuilder {
        WorkerBuilder::new(queue, keys, stores)
    }

    /// Starts fetching and running jobs, firing schedules and relaying the outbox.
    #[must_use]
    pub fn start(parts: Parts, pool: &PoolSettings) -> Self {
        let Parts { queue, opened, keys, tools, registry, directory, clock, plans, layers, state } = parts;
        let Opened { stores, outbox, schedules, settings, leftovers, .. } = opened;
        let tenants =
            Tenants { stores: stores.clone(), directory: Arc::clone(&directory), clock: Arc::clone(&clock) };
        let verifier = Verifier::new(keys.clone(), directory, Arc::clone(&clock));
        let stamper = Stamper::new(keys, Arc::clone(&clock));
        let enqueuer = Enqueuer::new(stamper.clone(), queue.clone());
        let registry = Arc::new(registry);
        let stop = CancellationToken::new();

        let relay =
            Relay { outbox, queue: queue.clone(), verifier: verifier.clone(), clock: Arc::clone(&clock) };
        let scheduler = Scheduler {
            schedules,
            verifier: verifier.clone(),
            stamper: stamper.clone(),
            registry: Arc::clone(&registry),
            stores: stores.clone(),
            plans: Arc::new(plans.clone()),
            clock: Arc::clone(&clock),
        };
        let keeper = LimitsKeeper::new(settings, queue.clone(), plans.clone());
        let sweeper = Sweeper { leftovers, queue: queue.clone(), clock: Arc::clone(&clock) };
        let periodic = vec![
            tokio::spawn(relay.run(stop.clone())),
            tokio::spawn(scheduler.run(stop.clone())),
            tokio::spawn(keeper.run(stop.clone())),
            tokio::spawn(queue.clone().watch_memory(stop.clone())),
            tokio::spawn(sweeper.run(stop.clone())),
        ];

        let options = WorkerOptions::new(registry.lanes(), usize::from(pool.concurrency));
        let mut worker_queue = WorkerQueue::start(queue, options);
        let history = History::start(stores.clone());
        let (state, plans) = (Arc::new(state), Arc::new(plans));
        let shared = Shared { tools, state, clock, stamper, stores, plans };
        let service = layers.service();
        let processor = Arc::new(Processor { registry, verifier, shared, history, service });
        if let Some(mut quarantined) = worker_queue.take_quarantined() {
            let processor = Arc::clone(&processor);
            // Ends by itself when the queue is gone.
            tokio::spawn(async move {
                while let Some(job) = quarantined.recv().await {
                    processor.put_aside(job).await;
                }
            });
        }
        let apalis = WorkerContext::new("tenantry");
        let main = tokio::spawn(work(apalis.clone(), worker_queue.backend(), processor));
        Self { enqueuer, tenants, queue: worker_queue, apalis, main, periodic, stop }
    }

    /// Enqueues jobs for this worker and its siblings.
    #[must_use]
    pub fn enqueuer(&self) -> &Enqueuer {
        &self.enqueuer
    }

    /// Watches how the worker is.
    #[must_use]
    pub fn observer(&self) -> WorkerObserver {
        self.queue.observer()
    }

    /// Makes tenants, and contexts for those who act for them.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Stops: fetches nothing new, lets running jobs finish until `deadline`, then gives the rest back
    /// without penalty.
    pub async fn stop(self, deadline: Duration) {
        self.stop.cancel();
        let report = self.queue.stop(deadline).await;
        tracing::info!(
            jobs.unstarted = report.unstarted,
            jobs.interrupted = report.interrupted,
            "jobs given back"
        );
        for task in self.periodic {
            let _ = task.await;
        }
        // Every job has ended or was given back: nothing is lost if apalis does not notice that its source
        // did.
        let _ = self.apalis.stop();
        let abort = self.main.abort_handle();
        if tokio::time::timeout(END, self.main).await.is_err() {
            abort.abort();
        }
    }
}

/// Runs jobs until the queue stops.
async fn work(name: WorkerContext, backend: JobBackend, processor: Arc<Processor>) {
    let handler = Handler { processor };
    let worker = ApalisBuilder::new(name).backend(backend).build(handler);
    if let Err(error) = worker.run().await {
        tracing::error!("the worker ended: {error}");
    }
}

/// The processor as the service that apalis calls. Each job is a task of its own, so handlers share all
/// cores.
#[derive(Clone)]
struct Handler {
    processor: Arc<Processor>,
}

impl Service<Task<FetchedJob>> for Handler {
    type Response = Finish;
    type Error = JoinError;
    type Future = JoinHandle<Finish>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), JoinError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<FetchedJob>) -> Self::Future {
        let processor = Arc::clone(&self.processor);
        tokio::spawn(async move { processor.process(task.args).await })
    }
}
