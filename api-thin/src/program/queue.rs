use clap::Args;
use clap::builder::RangedI64ValueParser;
use jobs::queue::{Queue, QueueConfig};
use secrecy::SecretString;

use crate::server::InvalidConfig;

/// Where the queue is: the same for API and workers.
#[derive(Debug, Clone, Args)]
pub struct QueueSettings {
    /// Redis 7 or newer with maxmemory-policy noeviction; a cluster is `redis+cluster://host:port,host:port`, a socket
    /// `redis+unix:///path/redis.sock`.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: String,
    /// How many parts the queue has: 1 unless set, on a cluster 16. Every program on the queue needs the same
    /// number; `tenantry shards` changes it.
    #[arg(long, env = "TENANTRY_SHARDS", value_parser = shard_count())]
    pub shards: Option<u16>,
}

impl QueueSettings {
    /// [`QueueSettings::redis_url`]
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.redis_url.clone().into()
    }

    /// The queue with these settings.
    #[must_use]
    pub fn config(&self) -> QueueConfig {
        let config = QueueConfig::new(self.url());
        QueueConfig { shards: self.shards.unwrap_or(config.shards), ..config }
    }
}

/// Connects to the queue.
///
/// # Errors
/// When its Redis cannot be used. The error names the setting, the address and the fix.
pub async fn connect(config: QueueConfig) -> Result<Queue, InvalidConfig> {
    let url = config.url.clone();
    let connected = Queue::connect(config).await;
    connected.map_err(|error| InvalidConfig::new("REDIS_URL", error.refusal(&url)))
}

/// How many parts a queue may have.
#[must_use]
pub fn shard_count() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=QueueConfig::MOST_SHARDS.into())
}
