//! Settings: environment variables and flags of the same meaning. Secrets belong in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use api_thin::{ApiConfig, IdentitySettings, InvalidConfig, LimitSettings, ResolutionSettings};
use clap::Parser;
use clap::builder::RangedI64ValueParser;
use jobs::plan::Plans;
use jobs::queue::QueueConfig;
use secrecy::SecretString;
use stores::{Backends, InvalidStores, StoresConfig};

/// The HTTP API of Tenantry.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Settings {
    /// Address and port to answer on.
    #[arg(long, env = "TENANTRY_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Redis 7 or newer with maxmemory-policy noeviction: the workers' queue. A cluster is
    /// `redis+cluster://host:port,host:port`.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    /// How many parts the queue has: 1 unless set, on a cluster 16. The workers need the same number; `worker
    /// shards` changes it.
    #[arg(long, env = "TENANTRY_SHARDS", value_parser = shard_count())]
    shards: Option<u16>,
    /// One or two keys that sign jobs, `kid:secret`, the newest first; the workers need the same. See `worker
    /// keygen`.
    #[arg(long, env = "TENANTRY_STAMP_KEYS", hide_env_values = true, value_name = "KEYS")]
    stamp_keys: Option<String>,
    /// First API keys are derived from it: at least 32 bytes.
    #[arg(long, env = "TENANTRY_KEY_SECRET", hide_env_values = true, value_name = "SECRET")]
    key_secret: Option<String>,
    /// Whoever shows it may make tenants: at least 32 bytes. Without it nobody may.
    #[arg(long, env = "TENANTRY_OPERATOR_KEY", hide_env_values = true, value_name = "SECRET")]
    operator_key: Option<String>,
    /// Signs tokens (HS256): at least 32 bytes. Without it no tokens are taken.
    #[arg(long, env = "TENANTRY_JWT_SECRET", hide_env_values = true, value_name = "SECRET")]
    jwt_secret: Option<String>,
    /// TOML file with a table [plan.NAME] for each plan; the workers need the same. Without it there are
    /// free, pro, enterprise, and standard, which has no limits.
    #[arg(long, env = "TENANTRY_PLANS", value_name = "FILE")]
    plans: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    identity: IdentitySettings,
    #[command(flatten)]
    resolution: ResolutionSettings,
    #[command(flatten)]
    storage: Storage,
}

/// Where tenants' data lives: the same as the workers'. Without server URLs in files of the data directory.
#[derive(Debug, clap::Args)]
struct Storage {
    /// Directory for embedded stores and local originals.
    #[arg(long, env = "TENANTRY_DATA_DIR", default_value = ".data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Postgres for the catalog and chunks.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    postgres_url: Option<String>,
    /// `MongoDB` for texts and extractions.
    #[arg(long, env = "MONGO_URL", hide_env_values = true, value_name = "URL")]
    mongo_url: Option<String>,
    /// Neo4j for entities and relations.
    #[arg(long, env = "NEO4J_URL", hide_env_values = true, value_name = "URL")]
    neo4j_url: Option<String>,
    /// Where uploaded originals go: `s3://bucket/prefix`. Local files by default.
    #[arg(long, env = "TENANTRY_BLOBS_URL", value_name = "URL")]
    blobs_url: Option<String>,
}

impl Settings {
    pub(crate) fn redis_url(&self) -> Result<SecretString, InvalidConfig> {
        required(
            "REDIS_URL",
            self.redis_url.as_ref(),
            "name the workers' Redis, such as redis://127.0.0.1:6379",
        )
    }

    pub(crate) fn queue(&self, redis_url: SecretString) -> QueueConfig {
        let config = QueueConfig::new(redis_url);
        QueueConfig { shards: self.shards.unwrap_or(config.shards), ..config }
    }

    pub(crate) fn stamp_keys(&self) -> Result<SecretString, InvalidConfig> {
        required("TENANTRY_STAMP_KEYS", self.stamp_keys.as_ref(), "make a key with `worker keygen`")
    }

    pub(crate) fn api(&self) -> Result<ApiConfig, InvalidConfig> {
        let make = "make a secret with `openssl rand -hex 32` and keep it";
        Ok(ApiConfig {
            key_secret: required(ApiConfig::KEY_SECRET, self.key_secret.as_ref(), make)?,
            operator_key: given(self.operator_key.as_ref()),
            jwt_secret: given(self.jwt_secret.as_ref()),
            limits: self.limits.limits()?,
            plans: self.plans()?,
            identity: self.identity.identity()?,
            resolution: self.resolution.resolution()?,
        })
    }

    fn plans(&self) -> Result<Plans, InvalidConfig> {
        let Some(path) = self.plans.as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(Plans::default());
        };
        Plans::load(path).map_err(|error| InvalidConfig::new(Plans::SETTING, jobs::error::report(&error)))
    }

    pub(crate) fn stores(&self, redis_url: SecretString) -> Result<StoresConfig, InvalidStores> {
        let url = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        let Storage { data_dir, postgres_url, mongo_url, neo4j_url, blobs_url } = &self.storage;
        let backends = Backends::from_urls(url(postgres_url), url(mongo_url), url(neo4j_url))?;
        Ok(StoresConfig { backends, blobs_url: url(blobs_url), data_dir: data_dir.clone(), redis_url })
    }
}

/// An empty variable is one that is not set.
fn given(value: Option<&String>) -> Option<SecretString> {
    value.filter(|value| !value.is_empty()).map(|value| value.clone().into())
}

fn required(setting: &'static str, value: Option<&String>, fix: &str) -> Result<SecretString, InvalidConfig> {
    given(value).ok_or_else(|| InvalidConfig::new(setting, format!("not set: {fix}")))
}

fn shard_count() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=QueueConfig::MOST_SHARDS.into())
}
