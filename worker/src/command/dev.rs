use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use api_thin::IdentitySettings;
use clap::Args;
use jobs::plan::Plans;
use secrecy::{ExposeSecret, SecretString};

use crate::dev::{DevOptions, DevSystem};
use crate::settings::{ExtractionSettings, PlanSettings, PoolSettings};

/// Runs the whole system in this process.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Where the API listens.
    #[arg(long, env = "TENANTRY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Directory for everything: Redis, SQLite files, originals, secrets.
    #[arg(long, env = "TENANTRY_DATA_DIR", default_value = ".data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Use this Redis instead of starting one.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    #[command(flatten)]
    pool: PoolSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    extraction: ExtractionSettings,
    #[command(flatten)]
    identity: IdentitySettings,
}

impl Dev {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        super::log::start("warn,worker=info,api_thin=info");
        let options = DevOptions {
            listen: self.listen,
            data_dir: self.data_dir,
            redis_url: self.redis_url.map(SecretString::from),
            pool: self.pool,
            extraction: self.extraction,
            plans: self.plans.plans().context(Plans::SETTING)?,
            identity: self.identity.identity()?,
        };
        let system = DevSystem::start(options).await?;
        eprintln!("API           {}", system.url());
        eprintln!("operator key  {}", system.secrets().operator_key.expose_secret());
        eprintln!("data          {}", system.data_dir().display());
        eprintln!("Redis         {}", system.redis_display());
        eprintln!("Ctrl-C stops everything; the data stays.");
        super::signal::asked_to_stop().await?;
        system.stop().await;
        Ok(())
    }
}
