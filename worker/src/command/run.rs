use std::sync::Arc;

use anyhow::Context;
use api_thin::program::start_log;
use clap::Args;
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::StampKeys;
use secrecy::SecretString;
use stores::Holder;
use tokio_util::sync::CancellationToken;

use crate::health;
use crate::run::{Parts, Worker};
use crate::settings::{
    ExtractionSettings, HealthSettings, PlanSettings, PoolSettings, QueueSettings, StorageSettings,
};

/// Runs jobs, schedules and the outbox relay against the configured servers.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    queue: QueueSettings,
    /// One or two keys that sign jobs, `kid:secret`, the newest first; the API needs the same. See `worker
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

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let holder = Holder { program: "worker run", since: SystemClock.now() };
        let _lock = self.storage.take(&self.queue.url(), holder)?;
        let keys = StampKeys::parse(&SecretString::from(self.stamp_keys)).context(StampKeys::SETTING)?;
        let stores = self.storage.stores(self.queue.url())?;
        let clock = Arc::new(SystemClock);
        let plans = self.plans.plans()?;
        let health = self.health.bind().await?;
        let mut parts =
            Parts::open(self.queue.config(), &stores, keys, &self.pool, &self.extraction, clock).await?;
        parts.plans = plans;
        let worker = Worker::start(parts, &self.pool);
        let stop_health = CancellationToken::new();
        if let Some(listener) = health {
            tracing::info!(address = %listener.local_addr()?, "health and metrics are served");
            tokio::spawn(health::serve(listener, worker.observer(), stop_health.clone()));
        }
        let _end = stop_health.drop_guard();
        tracing::info!(concurrency = self.pool.concurrency, "worker is running");
        super::signal::asked_to_stop().await?;
        tracing::info!(stop.deadline_s = self.pool.stop_s, "stopping: no new jobs, running ones may finish");
        worker.stop(self.pool.stop()).await;
        Ok(())
    }
}
