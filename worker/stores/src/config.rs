//! Which stores to use: a choice of configuration, never of code.

use std::path::PathBuf;

use secrecy::SecretString;

/// Where the stores are.
#[derive(Debug, Clone)]
pub struct StoresConfig {
    /// The catalog, documents and index.
    pub backends: Backends,
    /// Where originals go: `s3://bucket/prefix`, or `None` for `blobs/` in the data directory.
    pub blobs_url: Option<String>,
    /// Local data: SQLite files and local blobs.
    pub data_dir: PathBuf,
    /// Redis, for the cache and for news that the directory's cache is stale.
    pub redis_url: SecretString,
}

impl StoresConfig {
    /// Files in `data_dir` for everything, and the Redis at `redis_url` for what may be lost.
    #[must_use]
    pub const fn embedded(data_dir: PathBuf, redis_url: SecretString) -> Self {
        Self { backends: Backends::Embedded, blobs_url: None, data_dir, redis_url }
    }
}

/// The servers that hold catalog, documents and index.
#[derive(Debug, Clone)]
pub enum Backends {
    /// SQLite files in the data directory: one for the catalog, one for each tenant.
    Embedded,
    /// Servers.
    Servers {
        /// Catalog and chunks. The role must neither own the tables nor bypass row level security.
        postgres_url: SecretString,
        /// Texts and extractions.
        mongo_url: SecretString,
        /// Entities and relations: `bolt://user:password@host:port`, the user part being optional.
        neo4j_url: SecretString,
    },
}

impl Backends {
    /// Servers when all three are named, embedded stores when none is.
    ///
    /// # Errors
    /// When some are named and others are not.
    pub fn from_urls(
        postgres: Option<String>,
        mongo: Option<String>,
        neo4j: Option<String>,
    ) -> Result<Self, InvalidStores> {
        let missing = |setting| InvalidStores::Setting {
            setting,
            problem:
                "not set: set POSTGRES_URL, MONGO_URL and NEO4J_URL, or none of them for embedded stores"
                    .to_owned(),
        };
        match (postgres, mongo, neo4j) {
            (None, None, None) => Ok(Self::Embedded),
            (Some(postgres), Some(mongo), Some(neo4j)) => Ok(Self::Servers {
                postgres_url: postgres.into(),
                mongo_url: mongo.into(),
                neo4j_url: neo4j.into(),
            }),
            (None, _, _) => Err(missing("POSTGRES_URL")),
            (_, None, _) => Err(missing("MONGO_URL")),
            (_, _, None) => Err(missing("NEO4J_URL")),
        }
    }
}

/// Stores that cannot be opened: one sentence that says which setting, its value without credentials, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStores {
    /// A setting is missing or cannot be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// The environment variable.
        setting: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The store that a setting points to does not answer or refuses.
    #[error("{setting}: {problem}")]
    Unreachable {
        /// The environment variable.
        setting: &'static str,
        /// Which store, what it said, and what to do.
        problem: String,
    },
    /// The start-up self-test saw one tenant's row as another tenant.
    #[error("{setting}: tenants are not isolated: {what}; refusing to start")]
    NotIsolated {
        /// The environment variable.
        setting: &'static str,
        /// What leaked.
        what: String,
    },
}
