//! The real servers that tests run on.

use std::path::Path;

use secrecy::SecretString;
use stores::{Backends, ServerSettings, StoresConfig};
use tokio::sync::OnceCell;

/// Where the servers are.
#[derive(Debug, Clone)]
pub struct ServerUrls {
    /// PostgreSQL as the role that the product logs in with.
    pub postgres: String,
    /// PostgreSQL as the owner of the tables.
    pub postgres_admin: String,
    /// MongoDB, or what speaks its protocol.
    pub mongo: String,
    /// Neo4j.
    pub neo4j: String,
    /// Redis.
    pub redis: String,
}

impl ServerUrls {
    /// From the environment.
    ///
    /// # Panics
    /// When one is missing: a test that needs servers never passes without them.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            postgres: variable("POSTGRES_URL"),
            postgres_admin: variable("POSTGRES_ADMIN_URL"),
            mongo: variable("MONGO_URL"),
            neo4j: variable("NEO4J_URL"),
            redis: variable("REDIS_URL"),
        }
    }

    /// Stores on these servers, with local blobs in `data_dir`.
    #[must_use]
    pub fn stores(&self, data_dir: &Path) -> StoresConfig {
        let secret = |url: &String| SecretString::from(url.clone());
        StoresConfig {
            backends: Backends::Servers {
                postgres_url: secret(&self.postgres),
                mongo_url: Some(secret(&self.mongo)),
                neo4j_url: Some(secret(&self.neo4j)),
            },
            blobs_url: None,
            data_dir: data_dir.to_owned(),
            redis_url: secret(&self.redis),
        }
    }

    /// As [`ServerUrls::stores`], with everything that is neither in Redis nor a blob in PostgreSQL.
    ///
    /// # Panics
    /// Never: the settings do not contradict each other.
    #[must_use]
    pub fn stores_on_postgres_alone(&self, data_dir: &Path) -> StoresConfig {
        let sql = Some("sql".to_owned());
        let settings = ServerSettings {
            postgres_url: Some(self.postgres.clone()),
            documents: sql.clone(),
            graph: sql,
            ..ServerSettings::default()
        };
        let backends = settings.backends().expect("PostgreSQL alone is a set");
        StoresConfig { backends, ..self.stores(data_dir) }
    }
}

/// The servers, with the tables up to date.
///
/// # Panics
/// When a URL is missing or the tables cannot be made.
pub async fn migrated() -> ServerUrls {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let urls = ServerUrls::from_env();
    let migrate = || async {
        let (admin, app) = (urls.postgres_admin.clone().into(), urls.postgres.clone().into());
        stores::migrate(&admin, &app).await.expect("the tables can be made");
    };
    MIGRATED.get_or_init(migrate).await;
    urls
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, which starts the servers and sets it")
    })
}
