//! Runs a worker: apalis takes jobs from the queue and hands them to the processor. The only file here that names
//! apalis.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder as ApalisBuilder;
use apalis_core::worker::context::WorkerContext;
use jobs::Enqueuer;
use jobs::envelope::{StampKeys, Stamper};
use jobs::queue::{
    FetchedJob, Finish, JobBackend, Queue, QueueConfig, WorkerObserver, WorkerOptions, WorkerQueue,
};
use stores::{Opened, StoresConfig};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::builder::WorkerBuilder;
use crate::process::Processor;
use crate::settings::PoolSettings;
use crate::tenants::Tenants;
use crate::{metrics, periodic};

/// How long apalis may take to end after its source has ended.
const END: Duration = Duration::from_secs(2);

/// A worker whose queue and stores are connected, before it takes its first job. Made by
/// [`WorkerBuilder::connect`].
#[must_use = "it takes jobs only after `start`"]
pub struct ConnectedWorker {
    pub(crate) queue: Queue,
    pub(crate) opened: Opened,
    pub(crate) processor: Processor,
    pub(crate) tenants: Tenants,
    pub(crate) pool: PoolSettings,
}

impl ConnectedWorker {
    /// The worker's queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The worker's stores.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Signs jobs with the worker's keys.
    #[must_use]
    pub fn stamper(&self) -> &Stamper {
        &self.processor.shared.stamper
    }

    /// Starts fetching and running jobs, firing schedules and relaying the outbox.
    #[must_use]
    pub fn start(self) -> Worker {
        let Self { queue, opened, processor, tenants, pool } = self;
        metrics::begin(&processor.registry);
        let stop = CancellationToken::new();
        let periodic = periodic::start(opened, &queue, &processor, &stop);
        let enqueuer = Enqueuer::new(processor.shared.stamper.clone(), queue.clone());
        let options = WorkerOptions::new(processor.registry.lanes(), usize::from(pool.concurrency));
        let options = WorkerOptions { retry: jobs::queue::retry_rule(), ..options };
        let mut queue = WorkerQueue::start(queue, options);
        let processor = Arc::new(processor);
        if let Some(mut quarantined) = queue.take_quarantined() {
            let processor = Arc::clone(&processor);
            // Ends by itself when the queue is gone.
            tokio::spawn(async move {
                while let Some(job) = quarantined.recv().await {
                    processor.discard_quarantined(job.into()).await;
                }
            });
        }
        let apalis = WorkerContext::new("tenantry");
        let main = tokio::spawn(work(apalis.clone(), queue.backend(), processor));
        Worker { enqueuer, tenants, queue, apalis, main, periodic, stop }
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
    /// Configures a worker for job types of your own: `queue` holds its jobs, `keys` sign them, `stores` hold the
    /// data.
    pub fn builder(queue: QueueConfig, keys: StampKeys, stores: StoresConfig) -> WorkerBuilder {
        WorkerBuilder::new(queue, keys, stores)
    }

    /// Enqueues jobs for this worker and its siblings.
    #[must_use]
    pub fn enqueuer(&self) -> &Enqueuer {
        &self.enqueuer
    }

    /// Readings for health checks and metrics, see [`crate::health`].
    #[must_use]
    pub fn observer(&self) -> WorkerObserver {
        self.queue.observer()
    }

    /// Creates tenants, and contexts for the actors that enqueue jobs for them.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Graceful shutdown: fetches nothing new, lets running jobs finish until `deadline`, then gives the rest back
    /// to the queue without counting an attempt.
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
        // Every job has finished or was given back, so nothing is lost if apalis does not notice that its source
        // ended.
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

/// The processor as the service that apalis calls. Each job is a task of its own, so that handlers use all cores.
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
