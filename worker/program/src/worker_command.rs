//! The command `tenantry worker`.

use api_thin::StampKeySettings;
use api_thin::config::WebhookSettings;
use api_thin::program::{PlanSettings, QueueSettings, StopSignals, StorageSettings, start_log};
use clap::Args;
use ingest::{Egress, ExtractionSettings};
use jobs::clock::{Clock as _, SystemClock};
use stores::Holder;
use tokio_util::sync::CancellationToken;
use worker::Worker;
use worker::settings::PoolSettings;

use crate::health::{self, Health, HealthSettings, start_metrics};
use crate::system::connect;

/// Runs jobs, schedules and the outbox relay against the configured servers.
#[derive(Debug, Args)]
#[command(mut_arg("stamp_keys", |arg| arg.required(true)))]
pub(crate) struct WorkerCommand {
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    stamp: StampKeySettings,
    #[command(flatten)]
    storage: StorageSettings,
    #[command(flatten)]
    pool: PoolSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    health: HealthSettings,
    #[command(flatten)]
    extraction: ExtractionSettings,
    #[command(flatten)]
    webhooks: WebhookSettings,
}

impl WorkerCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        start_metrics()?;
        let mut stop = StopSignals::listen()?;
        let holder = Holder { program: "tenantry worker", since: SystemClock.now() };
        let _lock = self.storage.take(&self.queue.url(), holder)?;
        let keys = self.stamp.keys()?;
        let stores = self.storage.stores(self.queue.url())?;
        let plans = self.plans.plans()?;
        let health = self.health.bind().await?;
        let worker = Worker::builder(self.queue.config(), keys, stores).pool(self.pool.clone()).plans(plans);
        let worker = ingest::equip(worker, &self.extraction)?;
        let worker = worker.state(Egress::new(self.webhooks.targets()?)?);
        let connected = stop.unless_asked(connect(worker, &self.queue.url())).await;
        let Some(worker) = connected else { return Ok(()) };
        let worker = worker?;
        let (queue, sampler) = (worker.queue().clone(), worker.opened().sampler.clone());
        let worker = worker.start();
        let stop_health = CancellationToken::new();
        if let Some(listener) = health {
            tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
            let health = Health::new(worker.observer(), queue, self.pool.concurrency, sampler);
            tokio::spawn(health::serve(listener, health, stop_health.clone()));
        }
        let _end = stop_health.drop_guard();
        tracing::info!(worker.id = worker.id(), concurrency = self.pool.concurrency, "worker is running");
        stop.asked().await;
        tracing::info!(stop.deadline_s = self.pool.stop_s, "stopping: no new jobs, running ones may finish");
        worker.stop(self.pool.stop()).await;
        Ok(())
    }
}
