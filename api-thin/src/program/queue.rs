use clap::Args;
use clap::builder::RangedI64ValueParser;
use jobs::queue::{Queue, QueueConfig};
use secrecy::SecretString;

use crate::server::InvalidConfig;

/// Which Redis holds the queue. A command that does without one says so with `mut_arg`.
#[derive(Debug, Clone, Default, Args)]
pub struct RedisSettings {
    /// Redis 7 or newer with maxmemory-policy noeviction; a cluster is `redis+cluster://host:port,host:port`, a socket
    /// `redis+unix:///path/redis.sock`.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", required = true)]
    pub redis_url: Option<String>,
}

/// Where the queue is: the same for every command.
#[derive(Debug, Clone, Default, Args)]
pub struct QueueSettings {
    /// Its Redis.
    #[command(flatten)]
    pub redis: RedisSettings,
    /// How many parts the queue has: 1 unless set, on a cluster 16. Every program on the queue needs the same
    /// number; `tenantry shards` changes it.
    #[arg(long, env = "TENANTRY_SHARDS", value_parser = shard_count())]
    pub shards: Option<u16>,
}

impl RedisSettings {
    /// The URL that was given.
    #[must_use]
    pub fn given(&self) -> Option<SecretString> {
        self.redis_url.clone().map(SecretString::from)
    }

    /// The URL; an empty one, to which nothing connects, where a command may do without and none was given.
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.given().unwrap_or_default()
    }
}

impl QueueSettings {
    /// [`RedisSettings::url`]
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.redis.url()
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
