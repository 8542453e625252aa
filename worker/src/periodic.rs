//! Background tasks of a worker, and the pace at which they run.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use jobs::Job as _;
use jobs::clock::SharedClock;
use jobs::error::report;
use jobs::plan::Plans;
use jobs::queue::Queue;
use jobs::types::DeliverWebhook;
use stores::{AuditRetention, Leftovers, Opened, StoreError, Swept};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::held::HeldWatcher;
use crate::limits_sync::{KeepError, LimitsKeeper};
use crate::outbox::Relay;
use crate::process::Processor;
use crate::reconcile::Reconciler;
use crate::schedule::Scheduler;
use crate::webhooks::WebhookDispatcher;

/// Spawns every background task. The tasks end when `stop` fires.
pub(crate) fn start(
    opened: Opened,
    queue: &Queue,
    processor: &Processor,
    reconciler: Reconciler,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let Processor { verifier, registry, shared, .. } = processor;
    let clock = || Arc::clone(&shared.clock);
    let relay =
        Relay { outbox: opened.outbox, queue: queue.clone(), verifier: verifier.clone(), clock: clock() };
    let scheduler = Scheduler {
        schedules: opened.schedules,
        verifier: verifier.clone(),
        stamper: shared.stamper.clone(),
        registry: Arc::clone(registry),
        stores: shared.stores.clone(),
        plans: Arc::clone(&shared.plans),
        clock: clock(),
    };
    let keeper = LimitsKeeper::new(opened.settings, queue.clone(), Plans::clone(&shared.plans));
    let forgetter = Forgetter { retention: opened.audit_retention, clock: clock() };
    let activity = opened.activity.of_queue(&queue.config().prefix);
    let watcher = HeldWatcher {
        queue: queue.clone(),
        directory: opened.directory,
        activity: activity.clone(),
        clock: clock(),
    };
    let dispatcher = WebhookDispatcher {
        relay: opened.webhooks,
        queue: queue.clone(),
        verifier: verifier.clone(),
        stamper: shared.stamper.clone(),
        registry: Arc::clone(registry),
        stores: shared.stores.clone(),
        plans: Arc::clone(&shared.plans),
        clock: clock(),
    };
    // A program without the product's job types has no use for it.
    let delivers = registry.policy(DeliverWebhook::TYPE, DeliverWebhook::VERSION).is_some();
    let dispatcher = delivers.then(|| tokio::spawn(dispatcher.run(stop.clone())));
    let sweeper = Sweeper { leftovers: opened.leftovers, queue: queue.clone(), clock: clock() };
    let tasks = [
        tokio::spawn(relay.run(stop.clone())),
        tokio::spawn(reconciler.run(stop.clone())),
        tokio::spawn(scheduler.run(stop.clone())),
        tokio::spawn(keeper.run(stop.clone())),
        tokio::spawn(queue.clone().watch_memory(stop.clone())),
        tokio::spawn(sweeper.run(stop.clone())),
        tokio::spawn(forgetter.run(stop.clone())),
        tokio::spawn(processor.activity.clone().run(activity, stop.clone())),
        tokio::spawn(watcher.run(stop.clone())),
    ];
    tasks.into_iter().chain(dispatcher).collect()
}

/// An interval with jitter, so that replicas that start together do not keep acting together.
pub(crate) struct Pace {
    every: Duration,
}

impl Pace {
    pub(crate) fn every(every: Duration) -> Self {
        Self { every }
    }

    /// Waits between half and one and a half of the interval. `false` when `stop` fired.
    pub(crate) async fn next(&mut self, stop: &CancellationToken) -> bool {
        let wait = self.every.mul_f64(0.5 + rand::random::<f64>());
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

/// Minimum age of an object before it is removed: far longer than any request takes.
const AGE: TimeDelta = TimeDelta::hours(1);
/// How often one of the workers sweeps.
const ROUND: Duration = Duration::from_secs(900);
const TURN: &str = "leftovers";

/// Removes originals that no document names, and files of interrupted uploads. Of many workers one does it for all.
struct Sweeper {
    leftovers: Leftovers,
    queue: Queue,
    clock: SharedClock,
}

impl Sweeper {
    /// Sweeps until `stop` fires.
    async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(60));
        while pace.next(&stop).await {
            let swept = tokio::select! {
                swept = self.sweep() => swept,
                () = stop.cancelled() => return,
            };
            match swept {
                Ok(Swept { originals: 0, interrupted: 0 }) => {}
                Ok(Swept { originals, interrupted }) => {
                    tracing::info!(originals, interrupted, "removed what uploads left behind");
                }
                Err(error) => tracing::warn!("leftovers were not removed: {}", report(&error)),
            }
        }
    }

    async fn sweep(&self) -> Result<Swept, KeepError> {
        let shards = self.queue.turns(TURN, ROUND).await?;
        if shards.is_empty() {
            return Ok(Swept::default());
        }
        let before = self.clock.now() - AGE;
        Ok(self.leftovers.sweep(before, &|tenant| shards.contains(&self.queue.home(tenant))).await?)
    }
}

/// Removes audit entries that are too old. Any number of workers may do it side by side.
struct Forgetter {
    retention: Arc<AuditRetention>,
    clock: SharedClock,
}

impl Forgetter {
    /// Removes them about every hour until `stop` fires.
    async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(3_600));
        while pace.next(&stop).await {
            let removed = tokio::select! {
                removed = self.remove_all() => removed,
                () = stop.cancelled() => return,
            };
            if let Err(error) = removed {
                tracing::warn!("old audit entries were not removed: {}", report(&error));
            }
        }
    }

    async fn remove_all(&self) -> Result<(), StoreError> {
        while self.retention.remove_old(self.clock.now()).await? > 0 {}
        Ok(())
    }
}
