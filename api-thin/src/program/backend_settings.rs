//! Where queue, stores and plans are: the same for API and workers.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedI64ValueParser;
use jobs::plan::{InvalidPlans, Limits, Plans, Quota};
use jobs::queue::{Queue, QueueConfig};
use jobs::redis::RedisAddress;
use secrecy::SecretString;
use stores::{DataDirLock, Holder, InvalidStores, ServerSettings, StoresConfig};

use crate::config::InvalidConfig;

/// Where files are kept.
#[derive(Debug, Clone, Args)]
pub struct FileSettings {
    /// Directory for embedded stores and local originals.
    #[arg(long, env = "TENANTRY_DATA_DIR", default_value = ".data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where uploaded originals go: `s3://bucket/prefix`, configured by the `S3_*` variables. Local files by
    /// default.
    #[arg(long, env = "TENANTRY_BLOBS_URL", value_name = "URL")]
    pub blobs_url: Option<String>,
}

/// Postgres as API and workers reach it. A command that needs it says so with `mut_arg`.
#[derive(Debug, Clone, Default, Args)]
pub struct PostgresSettings {
    /// Postgres for the catalog and chunks, as a role that neither owns the tables nor bypasses row level
    /// security.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    pub postgres_url: Option<String>,
}

/// Where tenants' data lives: the same for API and workers. Without server URLs everything is kept in files of the data
/// directory.
#[derive(Debug, Clone, Args)]
pub struct StorageSettings {
    /// Files.
    #[command(flatten)]
    pub files: FileSettings,
    /// Postgres.
    #[command(flatten)]
    pub postgres: PostgresSettings,
    /// `MongoDB` for texts and extractions.
    #[arg(long, env = "MONGO_URL", hide_env_values = true, value_name = "URL")]
    pub mongo_url: Option<String>,
    /// Neo4j for entities and relations, `bolt://user:password@host:port`.
    #[arg(long, env = "NEO4J_URL", hide_env_values = true, value_name = "URL")]
    pub neo4j_url: Option<String>,
    /// Where texts and extractions are: in the database of the catalog (`sql`), or on the server of `MONGO_URL`
    /// (`mongo`), which is used if its URL is given.
    #[arg(long, env = "TENANTRY_DOCUMENTS", value_name = "STORE", value_parser = ["sql", "mongo"])]
    pub documents: Option<String>,
    /// Where entities and relations are: in the database of the catalog (`sql`), or on the server of `NEO4J_URL`
    /// (`neo4j`), which is used if its URL is given.
    #[arg(long, env = "TENANTRY_GRAPH", value_name = "STORE", value_parser = ["sql", "neo4j"])]
    pub graph: Option<String>,
}

impl StorageSettings {
    /// Where in the data directory `tenantry dev` reaches its Redis.
    pub const DEV_SOCKET: &'static str = "redis/redis.sock";

    /// Embedded stores in `data_dir`.
    #[must_use]
    pub fn embedded(data_dir: PathBuf) -> Self {
        let files = FileSettings { data_dir, blobs_url: None };
        let postgres = PostgresSettings::default();
        Self { files, postgres, mongo_url: None, neo4j_url: None, documents: None, graph: None }
    }

    /// Locks the data directory for `program`, which shares it with other programs, if embedded stores are in it.
    ///
    /// All programs on the embedded stores of one directory share a Redis: the jobs of one catalog belong into one
    /// queue. So a `tenantry dev` with a Redis of its own is alone in its directory, except for programs that are
    /// configured to use that Redis.
    ///
    /// # Errors
    /// When such a `tenantry dev` uses the directory, which the error names, or it is no directory that this user may
    /// write to.
    pub fn take(
        &self,
        redis_url: &SecretString,
        program: Holder<'_>,
    ) -> Result<Option<DataDirLock>, InvalidStores> {
        if self.servers().is_any() || self.is_own_redis(redis_url) {
            return Ok(None);
        }
        DataDirLock::shared(&self.files.data_dir, program).map(Some)
    }

    /// Whether the Redis is the one that `tenantry dev` runs in the data directory.
    fn is_own_redis(&self, url: &SecretString) -> bool {
        let Ok(address) = RedisAddress::parse(url) else { return false };
        let own = self.files.data_dir.join(Self::DEV_SOCKET).canonicalize().ok();
        own.is_some() && own == address.socket().and_then(|socket| socket.canonicalize().ok())
    }

    fn servers(&self) -> ServerSettings {
        ServerSettings {
            postgres_url: self.postgres.postgres_url.clone(),
            mongo_url: self.mongo_url.clone(),
            neo4j_url: self.neo4j_url.clone(),
            documents: self.documents.clone(),
            graph: self.graph.clone(),
        }
    }

    /// The configuration of the stores.
    ///
    /// # Errors
    /// When a server is named without PostgreSQL, a URL and a choice contradict each other, or this program was built
    /// without the driver of a server.
    pub fn stores(&self, redis_url: SecretString) -> Result<StoresConfig, InvalidStores> {
        let backends = self.servers().backends()?;
        let (blobs_url, data_dir) = (self.files.blobs_url.clone(), self.files.data_dir.clone());
        let config = StoresConfig { backends, blobs_url, data_dir, redis_url };
        config.check_drivers()?;
        Ok(config)
    }
}

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
        let config = jobs::queue::config(self.url());
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

/// The largest number of shards of a queue.
#[must_use]
pub fn shard_count() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=QueueConfig::MOST_SHARDS.into())
}

/// Which plans there are, and which of them newcomers get: the same for API and workers.
#[derive(Debug, Clone, Args)]
pub struct PlanSettings {
    /// TOML file with a table [plan.NAME] for each plan. Without it there are free, pro and enterprise, and always
    /// standard, which has no limits.
    #[arg(long = "plans", env = "TENANTRY_PLANS", value_name = "FILE")]
    pub plans_file: Option<PathBuf>,
    /// The plan of tenants that sign up, are made without naming one, or come to be by `TENANTRY_AUTO_PROVISION`.
    #[arg(long, env = "TENANTRY_DEFAULT_PLAN", default_value = "free", value_name = "PLAN")]
    pub default_plan: String,
    /// How many members a tenant of that plan may have, in place of what the plan says; 0 is no limit.
    #[arg(long, env = "TENANTRY_DEFAULT_MAX_MEMBERS", value_name = "COUNT")]
    pub default_max_members: Option<u64>,
    /// How many GB (of 10^9 bytes) a tenant of that plan may store, in place of what the plan says; 0 is no limit.
    #[arg(long, env = "TENANTRY_DEFAULT_MAX_STORAGE_GB", value_name = "GB", value_parser = clap::value_parser!(u64).range(..=MOST_GB))]
    pub default_max_storage_gb: Option<u64>,
    /// How many requests of a tenant of that plan are answered in a day, in place of what the plan says; 0 is no limit.
    #[arg(long, env = "TENANTRY_DEFAULT_MAX_CALLS_PER_DAY", value_name = "COUNT")]
    pub default_max_calls_per_day: Option<u64>,
}

const MAX_MEMBERS: &str = "TENANTRY_DEFAULT_MAX_MEMBERS";
const MAX_CALLS: &str = "TENANTRY_DEFAULT_MAX_CALLS_PER_DAY";
const GB: u64 = 1_000_000_000;
/// As many as a quota may have.
const MOST_GB: u64 = Quota::StorageBytes.most() / GB;

impl PlanSettings {
    /// Reads the plans.
    ///
    /// # Errors
    /// When the file cannot be read or a plan in it cannot be used. The error names the setting and the file.
    pub fn plans(&self) -> Result<Plans, InvalidConfig> {
        let plans = match &self.plans_file {
            None => Plans::default(),
            Some(path) => Plans::load(path).map_err(|error| {
                let problem = format!("{}: {}", path.display(), jobs::error::sentence(&error));
                InvalidConfig::new(Plans::SETTING, problem)
            })?,
        };
        let limits = Limits {
            members: self.default_max_members,
            storage_bytes: self.default_max_storage_gb.map(|gb| gb * GB),
            api_calls_per_day: self.default_max_calls_per_day,
            ..Limits::default()
        };
        plans.with_newcomers(&self.default_plan, &limits).map_err(|error| {
            let setting = match &error {
                InvalidPlans::Limit { limit, .. } if limit.field == Quota::Members.as_str() => MAX_MEMBERS,
                InvalidPlans::Limit { .. } => MAX_CALLS,
                _ => Plans::NEWCOMERS_SETTING,
            };
            InvalidConfig::new(setting, jobs::error::sentence(&error))
        })
    }
}
