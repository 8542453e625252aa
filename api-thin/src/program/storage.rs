use std::path::PathBuf;

use clap::Args;
use jobs::queue::RedisAddress;
use secrecy::SecretString;
use stores::{DataDirLock, Holder, InvalidStores, ServerSettings, StoresConfig};

/// Where tenants' data lives: the same for API and workers. Without server URLs everything is kept in files of the data
/// directory.
#[derive(Debug, Clone, Args)]
pub struct StorageSettings {
    /// Directory for embedded stores and local originals.
    #[arg(long, env = "TENANTRY_DATA_DIR", default_value = ".data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Postgres for the catalog and chunks, as a role that neither owns the tables nor bypasses row level
    /// security.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    pub postgres_url: Option<String>,
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
    /// Where uploaded originals go: `s3://bucket/prefix`, configured by the `S3_*` variables. Local files by
    /// default.
    #[arg(long, env = "TENANTRY_BLOBS_URL", value_name = "URL")]
    pub blobs_url: Option<String>,
}

impl StorageSettings {
    /// Where in the data directory `worker dev` reaches its Redis.
    pub const DEV_SOCKET: &'static str = "redis/redis.sock";

    /// Embedded stores in `data_dir`.
    #[must_use]
    pub fn embedded(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            postgres_url: None,
            mongo_url: None,
            neo4j_url: None,
            documents: None,
            graph: None,
            blobs_url: None,
        }
    }

    /// Takes the data directory for `program`, which uses it beside others, if embedded stores live there.
    ///
    /// All programs on the embedded stores of one directory share a Redis: the jobs of one catalog belong into one
    /// queue.
    /// So a `worker dev` with a Redis of its own is alone in its directory, but for programs that are told to use that
    /// Redis.
    ///
    /// # Errors
    /// When such a `worker dev` uses the directory, which the error names, or it is no directory that this user may
    /// write
    /// to.
    pub fn take(
        &self,
        redis_url: &SecretString,
        program: Holder<'_>,
    ) -> Result<Option<DataDirLock>, InvalidStores> {
        if self.servers().is_any() || self.is_own_redis(redis_url) {
            return Ok(None);
        }
        DataDirLock::shared(&self.data_dir, program).map(Some)
    }

    /// Whether the Redis is the one that `worker dev` runs in the data directory.
    fn is_own_redis(&self, url: &SecretString) -> bool {
        let Ok(address) = RedisAddress::parse(url) else { return false };
        let own = self.data_dir.join(Self::DEV_SOCKET).canonicalize().ok();
        own.is_some() && own == address.socket().and_then(|socket| socket.canonicalize().ok())
    }

    fn servers(&self) -> ServerSettings {
        ServerSettings {
            postgres_url: self.postgres_url.clone(),
            mongo_url: self.mongo_url.clone(),
            neo4j_url: self.neo4j_url.clone(),
            documents: self.documents.clone(),
            graph: self.graph.clone(),
        }
    }

    /// The configuration of the stores.
    ///
    /// # Errors
    /// When a server is named without PostgreSQL, or a URL and a choice contradict each other.
    pub fn stores(&self, redis_url: SecretString) -> Result<StoresConfig, InvalidStores> {
        let backends = self.servers().backends()?;
        let (blobs_url, data_dir) = (self.blobs_url.clone(), self.data_dir.clone());
        Ok(StoresConfig { backends, blobs_url, data_dir, redis_url })
    }
}
