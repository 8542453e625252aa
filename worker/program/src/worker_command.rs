//! The command `tenantry worker`.

use anyhow::Context;
use api_thin::program::{PlanSettings, QueueSettings, StorageSettings, start_log};
use clap::Args;
use ingest::ExtractionSettings;
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::StampKeys;
use secrecy::SecretString;
use stores::Holder;
use tokio_util::sync::CancellationToken;
use worker::Worker;
use worker::settings::PoolSettings;

use crate::cli::asked_to_stop;
use crate::health::{self, HealthSettings};
use crate::system::connect;

/// Runs jobs, schedules and the outbox relay against the configured servers.
#[derive(Debug, Args)]
pub(crate) struct WorkerCommand {
    #[command(flatten)]
    queue: QueueSettings,
    /// One or two keys that sign jobs, `kid:secret`, the newest first; the API needs the same. See `tenantry
    /// keygen`.
    #[arg(long, env = "TENANTRY_STAMP_KEYS", hide_env_values = true, value_name = "KEYS")]
    stamp_keys: String,
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
}

impl WorkerCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let holder = Holder { program: "tenantry worker", since: SystemClock.now() };
        let _lock = self.storage.take(&self.queue.url(), holder)?;
        let keys = StampKeys::parse(&SecretString::from(self.stamp_keys)).context(StampKeys::SETTING)?;
        let stores = self.storage.stores(self.queue.url())?;
        let plans = self.plans.plans()?;
        let health = self.health.bind().await?;
        let worker = Worker::builder(self.queue.config(), keys, stores).pool(self.pool.clone()).plans(plans);
        let worker = ingest::equip(worker, &self.extraction)?;
        let worker = connect(worker, &self.queue.url()).await?.start();
        let stop_health = CancellationToken::new();
        if let Some(listener) = health {
            tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
            tokio::spawn(health::serve(listener, worker.observer(), stop_health.clone()));
        }
        let _end = stop_health.drop_guard();
        tracing::info!(concurrency = self.pool.concurrency, "worker is running");
        asked_to_stop().await?;
        tracing::info!(stop.deadline_s = self.pool.stop_s, "stopping: no new jobs, running ones may finish");
        worker.stop(self.pool.stop()).await;
        Ok(())
    }
}
