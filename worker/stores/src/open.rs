//! Opening the stores.

use std::sync::Arc;

use jobs::clock::SharedClock;
use secrecy::SecretString;

use crate::blobs::{Leftovers, ObjectBlobs};
use crate::cache::{self, RedisCache};
use crate::config::{Backends, InvalidStores, StoresConfig};
use crate::directory::{Answers, CachedDirectory, DirectoryNews, DirectoryRows};
use crate::documents::mongo::{Mongo, MongoDocuments};
use crate::index::neo4j::Neo4j;
use crate::index::server::ServerIndexes;
use crate::ports::{
    Catalog, Directory, Documents, DueSchedules, Identities, Index, Lifecycle, OutboxRelay, SettingsRelay,
};
use crate::postgres::{PgCatalogs, PgDirectory, PgIdentities, PgOutbox, PgSchedules, PgSettings, Postgres};
use crate::scoped::{Ports, Scope, Stores};
use crate::{embedded, self_test};

/// The stores, opened.
#[derive(Clone)]
pub struct Opened {
    /// The stores of tenants.
    pub stores: Stores,
    /// Who exists and who may do what.
    pub directory: Arc<dyn Directory>,
    /// Accepted jobs on their way to the queue.
    pub outbox: Arc<dyn OutboxRelay>,
    /// Schedules whose time has come.
    pub schedules: Arc<dyn DueSchedules>,
    /// What the queue has to know of tenants.
    pub settings: Arc<dyn SettingsRelay>,
    /// People who log in.
    pub identities: Arc<dyn Identities>,
    /// What requests left behind that were cut short.
    pub leftovers: Leftovers,
}

/// Opens the stores that `config` names and proves that one tenant cannot read another's canary row.
///
/// # Errors
/// When a store does not answer, is not set up, or fails the self-test. The error names the setting and the
/// fix.
pub async fn open(config: &StoresConfig, clock: SharedClock) -> Result<Opened, InvalidStores> {
    install_tls();
    let redis = cache::connect(&config.redis_url).await?;
    let answers = Answers::new();
    let news = DirectoryNews::new(answers.clone(), redis.commands.clone());
    let backend = open_backend(config, &clock, &news).await?;
    let blobs = ObjectBlobs::open(config)?;
    let own_redis = matches!(config.backends, Backends::Embedded).then(|| config.data_dir.join("redis"));
    let ports = Ports {
        catalog: backend.catalog,
        lifecycle: backend.lifecycle,
        documents: backend.documents,
        index: backend.index,
        blobs: Box::new(blobs.clone()),
        cache: Box::new(RedisCache::new(redis.commands, own_redis)),
    };
    self_test::run(&ports, &config.backends, &clock).await?;
    let stores = Stores::new(ports);
    let leftovers = Leftovers::new(blobs, stores.clone(), Arc::clone(&backend.rows));
    let directory = CachedDirectory::start(backend.rows, answers, news, redis.nodes, clock);
    Ok(Opened {
        stores,
        directory: Arc::new(directory),
        outbox: backend.outbox,
        schedules: backend.schedules,
        settings: backend.settings,
        identities: backend.identities,
        leftovers,
    })
}

/// Embedded stores in `data_dir` and a cache in memory, for tests. No Redis is asked, so no other process
/// hears of changes; the self-test is left to [`open`].
///
/// # Errors
/// When the directory cannot be used.
#[cfg(feature = "test-support")]
pub async fn open_without_redis(
    data_dir: std::path::PathBuf,
    clock: SharedClock,
) -> Result<Opened, InvalidStores> {
    let config = StoresConfig::embedded(data_dir, String::new().into());
    let answers = Answers::new();
    let news = DirectoryNews::local(answers.clone());
    let backend = open_backend(&config, &clock, &news).await?;
    let blobs = ObjectBlobs::open(&config)?;
    let stores = Stores::new(Ports {
        catalog: backend.catalog,
        lifecycle: backend.lifecycle,
        documents: backend.documents,
        index: backend.index,
        blobs: Box::new(blobs.clone()),
        cache: Box::new(cache::MemoryCache::new(Arc::clone(&clock))),
    });
    let leftovers = Leftovers::new(blobs, stores.clone(), Arc::clone(&backend.rows));
    Ok(Opened {
        stores,
        directory: Arc::new(CachedDirectory::alone(backend.rows, answers, news, clock)),
        outbox: backend.outbox,
        schedules: backend.schedules,
        settings: backend.settings,
        identities: backend.identities,
        leftovers,
    })
}

async fn open_backend(
    config: &StoresConfig,
    clock: &SharedClock,
    news: &DirectoryNews,
) -> Result<Backend, InvalidStores> {
    let (clock, news) = (Arc::clone(clock), news.clone());
    match &config.backends {
        Backends::Embedded => embedded::open(&config.data_dir, clock, news).await,
        Backends::Servers { postgres_url, mongo_url, neo4j_url } => {
            open_servers(postgres_url, mongo_url, neo4j_url, clock, news).await
        }
    }
}

/// Chooses the TLS implementation for every client in this process; a choice made before stays.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Catalog, documents and index of one kind, opened. Blobs, cache and the directory's cache are the same for
/// all kinds.
pub(crate) struct Backend {
    pub(crate) catalog: Box<dyn Scope<dyn Catalog>>,
    pub(crate) lifecycle: Box<dyn Scope<dyn Lifecycle>>,
    pub(crate) documents: Box<dyn Scope<dyn Documents>>,
    pub(crate) index: Box<dyn Scope<dyn Index>>,
    pub(crate) rows: Arc<dyn DirectoryRows>,
    pub(crate) outbox: Arc<dyn OutboxRelay>,
    pub(crate) schedules: Arc<dyn DueSchedules>,
    pub(crate) settings: Arc<dyn SettingsRelay>,
    pub(crate) identities: Arc<dyn Identities>,
}

/// Connects to the servers.
///
/// # Errors
/// When one does not answer, or is not set up.
async fn open_servers(
    postgres_url: &SecretString,
    mongo_url: &SecretString,
    neo4j_url: &SecretString,
    clock: SharedClock,
    news: DirectoryNews,
) -> Result<Backend, InvalidStores> {
    let postgres = Postgres::open(postgres_url).await?;
    let mongo = Mongo::open(mongo_url).await?;
    let neo4j = Neo4j::new(neo4j_url)?;
    neo4j.answers().await?;
    let catalogs = PgCatalogs::new(postgres.clone(), news, Arc::clone(&clock));
    Ok(Backend {
        catalog: Box::new(catalogs.clone()),
        lifecycle: Box::new(catalogs),
        documents: Box::new(MongoDocuments::new(mongo)),
        index: Box::new(ServerIndexes::new(postgres.clone(), Arc::new(neo4j), clock)),
        rows: Arc::new(PgDirectory::new(postgres.clone())),
        outbox: Arc::new(PgOutbox::new(postgres.clone())),
        schedules: Arc::new(PgSchedules::new(postgres.clone())),
        settings: Arc::new(PgSettings::new(postgres.clone())),
        identities: Arc::new(PgIdentities::new(postgres)),
    })
}
