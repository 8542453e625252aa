//! Runs a worker: apalis takes jobs from the queue and hands them to the processor. The only file here that names
//! apalis.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder as ApalisBuilder;
use apalis_core::worker::context::WorkerContext;
use jobs::envelope::{StampKeys, Stamper};
use jobs::plan::Plans;
use jobs::queue::{FetchedJob, Finish, JobBackend, Queue, QueueConfig, Skill, WorkerOptions, WorkerQueue};
use jobs::types::DeliverWebhook;
use jobs::{Enqueuer, Job as _};
use stores::activity::Activity;
use stores::{Opened, StoresConfig};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

use crate::activity::Recorder;
use crate::builder::WorkerBuilder;
use crate::health::Observer;
use crate::limits_sync::LimitsKeeper;
use crate::process::Processor;
use crate::reconcile::Reconciler;
use crate::registration::Registration;
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

    /// Creates tenants, and contexts for the actors that enqueue jobs for them, before the first job is taken.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Signs jobs with the worker's keys.
    #[must_use]
    pub fn stamper(&self) -> &Stamper {
        &self.processor.shared.stamper
    }

    /// Looks for accepted work that the queue has lost, when told to. A started worker does that by itself.
    #[must_use]
    pub fn reconciler(&self) -> Reconciler {
        let Processor { verifier, registry, shared, .. } = &self.processor;
        let plans = Plans::clone(&shared.plans);
        Reconciler {
            unfinished: Arc::clone(&self.opened.unfinished),
            queue: self.queue.clone(),
            verifier: verifier.clone(),
            registry: Arc::clone(registry),
            limits: LimitsKeeper::new(Arc::clone(&self.opened.settings), self.queue.clone(), plans),
            clock: Arc::clone(&shared.clock),
            every: self.pool.reconcile(),
        }
    }

    /// Starts fetching and running jobs, firing schedules, relaying the outbox and looking for lost work.
    #[must_use]
    pub fn start(self) -> Worker {
        let reconciler = self.reconciler();
        let Self { queue, opened, processor, tenants, pool } = self;
        metrics::begin(&processor.registry);
        let stop = CancellationToken::new();
        let activity = opened.activity.of_queue(&queue.config().prefix);
        let workers = opened.workers.of_queue(&queue.config().prefix);
        let recorder = processor.activity.clone();
        let periodic = periodic::start(opened, &queue, &processor, reconciler, &stop);
        let enqueuer = Enqueuer::new(processor.shared.stamper.clone(), queue.clone());
        let skills = processor.registry.skills();
        let (webhooks, others) = skills.into_iter().partition(|skill| skill.queue() == DeliverWebhook::QUEUE);
        let clock = Arc::clone(&processor.shared.clock);
        let processor = Arc::new(processor);
        let start = |name, skills, slots| Slots::start(name, &queue, &processor, (skills, slots));
        let slots = start("tenantry", others, pool.concurrency);
        let webhooks: Vec<Skill> = webhooks;
        let webhooks =
            (!webhooks.is_empty()).then(|| start("tenantry-webhooks", webhooks, pool.webhook_concurrency));
        let observer =
            Observer::new(slots.queue.observer(), webhooks.as_ref().map(|slots| slots.queue.observer()));
        let (id, registered) = (format!("{:016x}", rand::random::<u64>()), CancellationToken::new());
        let registration = Registration::new(workers, id.clone(), observer.clone(), clock.now());
        let registration = tokio::spawn(registration.run(registered.clone()));
        let registration = (registered.drop_guard(), registration);
        let activity = (recorder, activity);
        Worker { id, enqueuer, tenants, slots, webhooks, observer, periodic, stop, registration, activity }
    }
}

/// Slots for the jobs of some skills. Jobs of other skills cannot take them.
struct Slots {
    queue: WorkerQueue,
    apalis: WorkerContext,
    main: JoinHandle<()>,
}

impl Slots {
    fn start(
        name: &str,
        queue: &Queue,
        processor: &Arc<Processor>,
        (skills, slots): (Vec<Skill>, u16),
    ) -> Self {
        let options = WorkerOptions::new(skills, usize::from(slots));
        let options = WorkerOptions { retry: jobs::queue::retry_rule(), ..options };
        let mut queue = WorkerQueue::start(queue.clone(), options);
        if let Some(mut quarantined) = queue.take_quarantined() {
            let processor = Arc::clone(processor);
            // Ends by itself when the queue is gone.
            tokio::spawn(async move {
                while let Some(job) = quarantined.recv().await {
                    processor.discard_quarantined(job.into()).await;
                }
            });
        }
        let apalis = WorkerContext::new(name);
        let main = tokio::spawn(work(apalis.clone(), queue.backend(), Arc::clone(processor)));
        Self { queue, apalis, main }
    }

    async fn stop(self, deadline: Duration) {
        let report = self.queue.stop(deadline).await;
        tracing::info!(
            jobs.unstarted = report.unstarted,
            jobs.interrupted = report.interrupted,
            "jobs given back"
        );
        // Every job has finished or was given back, so nothing is lost if apalis does not notice that its source
        // ended.
        let _ = self.apalis.stop();
        let abort = self.main.abort_handle();
        if tokio::time::timeout(END, self.main).await.is_err() {
            abort.abort();
        }
    }
}

/// A running worker with its scheduler and outbox relay.
pub struct Worker {
    id: String,
    enqueuer: Enqueuer,
    tenants: Tenants,
    slots: Slots,
    webhooks: Option<Slots>,
    observer: Observer,
    periodic: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    /// Ends when the guard is dropped.
    registration: (DropGuard, JoinHandle<()>),
    activity: (Recorder, Activity),
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

    /// What the worker is called among those of its queue: random, so that a restarted worker is another one.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Readings for health checks and metrics, see [`crate::health`].
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.observer.clone()
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
        let webhooks = async {
            if let Some(slots) = self.webhooks {
                slots.stop(deadline).await;
            }
        };
        let periodic = async {
            for task in self.periodic {
                let _ = task.await;
            }
        };
        tokio::join!(self.slots.stop(deadline), webhooks, periodic);
        let (registered, registration) = self.registration;
        drop(registered);
        let _ = tokio::time::timeout(END, registration).await;
        let (recorder, activity) = self.activity;
        recorder.flush(&activity).await;
        if tokio::time::timeout(END, self.tenants.stores.events_flush()).await.is_err() {
            tracing::warn!("Redis is slow: the last events may be missing");
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
