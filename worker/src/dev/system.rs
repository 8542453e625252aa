use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_thin::IdentityConfig;
use jobs::clock::SystemClock;
use jobs::plan::Plans;
use secrecy::{ExposeSecret, SecretString};

use super::{DevSecrets, LocalRedis};
use crate::settings::{ExtractionSettings, PoolSettings, StorageSettings};
use crate::system::{System, SystemOptions};

/// How to run the development system.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directory for everything.
    pub data_dir: PathBuf,
    /// Use this Redis instead of starting one.
    pub redis_url: Option<SecretString>,
    /// How much the worker takes on.
    pub pool: PoolSettings,
    /// Who finds entities.
    pub extraction: ExtractionSettings,
    /// What tenants may use.
    pub plans: Plans,
    /// Who may log in, and whose tokens are taken.
    pub identity: IdentityConfig,
}

/// A running development system.
pub struct DevSystem {
    system: System,
    redis: Option<LocalRedis>,
    redis_url: SecretString,
    secrets: DevSecrets,
    data_dir: PathBuf,
}

impl DevSystem {
    /// Starts Redis, if none was named, and then everything else.
    ///
    /// # Errors
    /// When `redis-server` is missing, the address is taken, or the data directory cannot be used.
    pub async fn start(options: DevOptions) -> anyhow::Result<Self> {
        let DevOptions { listen, data_dir, redis_url, pool, extraction, plans, identity } = options;
        let secrets = DevSecrets::load_or_create(&data_dir)?;
        let (redis, redis_url) = if let Some(url) = redis_url {
            (None, url)
        } else {
            let redis = LocalRedis::start(&data_dir.join("redis")).await?;
            let url = redis.url();
            (Some(redis), url)
        };
        let system = System::start(SystemOptions {
            listen,
            stores: StorageSettings::embedded(data_dir.clone()).stores(redis_url.clone())?,
            queue_prefix: "tenantry".to_owned(),
            secrets: secrets.clone(),
            pool,
            extraction,
            plans,
            identity,
            clock: Arc::new(SystemClock),
        })
        .await?;
        Ok(Self { system, redis, redis_url, secrets, data_dir })
    }

    /// Where the API listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.system.url()
    }

    /// The system's keys.
    #[must_use]
    pub fn secrets(&self) -> &DevSecrets {
        &self.secrets
    }

    /// Where everything is kept.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where Redis is, as far as it may be shown: a URL from outside may hold a password.
    #[must_use]
    pub fn redis_display(&self) -> &str {
        if self.redis.is_some() { self.redis_url.expose_secret() } else { "as in REDIS_URL" }
    }

    /// Stops everything, Redis last.
    pub async fn stop(self) {
        self.system.stop().await;
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
    }
}
