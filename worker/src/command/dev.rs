use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use api_thin::program::{listen_address, say, shard_count, start_log};
use api_thin::{ApiSettings, SecretSettings};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::dev::{DevOptions, DevSystem};
use crate::settings::{ExtractionSettings, PlanSettings, PoolSettings};

/// Settings of the other programs that this one has no use for.
const SERVERS: [&str; 3] = ["POSTGRES_URL", "MONGO_URL", "NEO4J_URL"];

/// Runs the whole system in this process.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Where the API listens.
    #[arg(
        long,
        env = "TENANTRY_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    listen: SocketAddr,
    /// Directory for everything: Redis, SQLite files, originals, secrets. One program at a time uses it.
    #[arg(long, env = "TENANTRY_DATA_DIR", default_value = ".data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Use this Redis instead of starting one.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    /// How many parts the queue has: 1 unless set, on a cluster 16.
    #[arg(long, env = "TENANTRY_SHARDS", value_parser = shard_count())]
    shards: Option<u16>,
    /// Where uploaded originals go: `s3://bucket/prefix`, configured by the `S3_*` variables. Local files by
    /// default.
    #[arg(long, env = "TENANTRY_BLOBS_URL", value_name = "URL")]
    blobs_url: Option<String>,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    pool: PoolSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    extraction: ExtractionSettings,
    #[command(flatten)]
    api: ApiSettings,
}

impl Dev {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        start_log("warn,worker=info,api_thin=info");
        for name in
            SERVERS.into_iter().filter(|name| std::env::var_os(name).is_some_and(|url| !url.is_empty()))
        {
            tracing::warn!(
                "{name} is not used: `worker dev` keeps data in files; `worker run` and `api-thin` use it"
            );
        }
        let options = DevOptions {
            program: "worker dev",
            listen: self.listen,
            data_dir: self.data_dir,
            blobs_url: self.blobs_url,
            redis_url: self.redis_url.map(SecretString::from),
            shards: self.shards,
            secrets: self.secrets,
            pool: self.pool,
            extraction: self.extraction,
            plans: self.plans.plans()?,
            api: self.api.rules()?,
        };
        let system = DevSystem::start(options).await?;
        say(format!("API           {}", system.url()));
        say(format!("operator key  {}", system.secrets().operator_key.expose_secret()));
        say(format!("data          {}", system.data_dir().display()));
        say(format!("Redis         {}", system.redis_display()));
        say("Ctrl-C stops everything; the data stays.");
        tokio::select! {
            stop = super::signal::asked_to_stop() => stop?,
            reason = system.broken() => {
                system.abandon().await;
                bail!("{reason}");
            }
        }
        system.stop().await;
        Ok(())
    }
}
