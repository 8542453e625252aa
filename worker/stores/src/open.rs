//! Opens the stores and wires them together.

use std::sync::Arc;

use jobs::clock::SharedClock;
#[cfg(feature = "postgres")]
use secrecy::SecretString;

use crate::activity::Activity;
use crate::blobs::{Leftovers, ObjectBlobs};
use crate::cache::{self, RedisCache};
#[cfg(feature = "postgres")]
use crate::catalog::Db;
use crate::catalog::{
    AuditRetention, Catalogs, DueSchedules, Identities, Measures, OutboxRelay, SettingsRelay, UnfinishedJobs,
    WebhookRelay,
};
use crate::config::{Backends, InvalidStores, StoresConfig};
#[cfg(feature = "postgres")]
use crate::content_db::ContentDb;
use crate::directory::{Answers, CachedDirectory, DirectoryInvalidation};
#[cfg(feature = "mongo")]
use crate::documents::mongo::{Mongo, MongoDocuments};
#[cfg(feature = "postgres")]
use crate::documents::sql::SqlDocuments;
#[cfg(feature = "neo4j")]
use crate::index::neo4j::Neo4j;
#[cfg(feature = "postgres")]
use crate::index::sql::{Graph, SqlIndex};
use crate::live::{Hub, Publisher};
use crate::metrics::StoreSampler;
use crate::ports::{Directory, Documents, Index};
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::scoped::{Ports, Scope, Stores};
use crate::workers::Workers;
use crate::{embedded, self_test};

/// All stores, opened and checked.
#[derive(Clone)]
pub struct Opened {
    /// Stores of one tenant at a time.
    pub stores: Stores,
    /// Tenants and permissions, read across tenants.
    pub directory: Arc<dyn Directory>,
    /// Accepted jobs that wait for the queue.
    pub outbox: Arc<OutboxRelay>,
    /// Jobs of all tenants that the queue should have.
    pub unfinished: Arc<UnfinishedJobs>,
    /// Due schedules of all tenants.
    pub schedules: Arc<DueSchedules>,
    /// Settings of tenants for the queue.
    pub settings: Arc<SettingsRelay>,
    /// Pending deliveries of webhooks of all tenants.
    pub webhooks: Arc<WebhookRelay>,
    /// Accounts and sessions.
    pub identities: Arc<Identities>,
    /// Removal of audit entries that are too old.
    pub audit_retention: Arc<AuditRetention>,
    /// Removal of what interrupted requests left behind.
    pub leftovers: Leftovers,
    /// What workers did in the last hour, of no queue in particular: [`Activity::of_queue`].
    pub activity: Activity,
    /// Workers that live, of no queue in particular: [`Workers::of_queue`].
    pub workers: Workers,
    /// Counts for metrics.
    pub measures: Arc<Measures>,
    /// Records how the stores are.
    pub sampler: StoreSampler,
}

/// Opens the stores that `config` names and proves that one tenant cannot read another's canary row.
///
/// # Errors
/// When a store does not answer, is not set up, or fails the self-test. The error names the setting and the
/// fix.
pub async fn open(config: &StoresConfig, clock: SharedClock) -> Result<Opened, InvalidStores> {
    config.check_drivers()?;
    install_tls();
    let redis = cache::connect(&config.redis_url).await?;
    let answers = Answers::new();
    let invalidation = DirectoryInvalidation::new(answers.clone(), redis.clone());
    let publisher = Publisher::start(Some(redis.clone()), Arc::clone(&clock));
    let backend = open_backend(config, &clock, &invalidation).await?.told_by(&publisher);
    let blobs = ObjectBlobs::open(config)?;
    let own_redis = matches!(config.backends, Backends::Embedded).then(|| config.data_dir.join("redis"));
    let ports = Ports {
        catalogs: backend.catalogs.clone(),
        documents: backend.documents,
        index: backend.index,
        blobs: Box::new(blobs.clone()),
        cache: Box::new(RedisCache::new(redis.clone(), own_redis)),
        publisher,
        hub: Hub::new(Some(redis.clone()), Arc::clone(&clock)),
    };
    self_test::run(&ports, &config.backends, &clock).await?;
    let stores = Stores::new(ports);
    let rows = backend.catalogs.directory_rows();
    let leftovers = Leftovers::new(blobs, stores.clone(), rows.clone());
    let activity = Activity::new(Some(redis.clone()));
    let workers = Workers::new(Some(redis.clone()));
    let measures = Arc::new(backend.catalogs.measures());
    let sampler = StoreSampler::new(Arc::clone(&measures), answers.clone());
    let directory = CachedDirectory::start(rows, answers, invalidation, redis, clock);
    Ok(Opened {
        stores,
        directory: Arc::new(directory),
        outbox: Arc::new(backend.catalogs.outbox()),
        unfinished: Arc::new(backend.catalogs.unfinished()),
        schedules: Arc::new(backend.catalogs.schedules()),
        settings: Arc::new(backend.catalogs.settings()),
        webhooks: Arc::new(backend.catalogs.webhooks()),
        identities: Arc::new(backend.catalogs.identities()),
        audit_retention: Arc::new(backend.catalogs.audit_retention()),
        leftovers,
        activity,
        workers,
        measures,
        sampler,
    })
}

/// Embedded stores in `data_dir` and a cache in memory, for tests. Redis is not used, so other processes get no
/// invalidation messages, and there is no self-test.
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
    let invalidation = DirectoryInvalidation::local(answers.clone());
    let publisher = Publisher::start(None, Arc::clone(&clock));
    let backend = open_backend(&config, &clock, &invalidation).await?.told_by(&publisher);
    let blobs = ObjectBlobs::open(&config)?;
    let stores = Stores::new(Ports {
        catalogs: backend.catalogs.clone(),
        documents: backend.documents,
        index: backend.index,
        blobs: Box::new(blobs.clone()),
        cache: Box::new(cache::MemoryCache::new(Arc::clone(&clock))),
        publisher,
        hub: Hub::new(None, Arc::clone(&clock)),
    });
    let rows = backend.catalogs.directory_rows();
    let leftovers = Leftovers::new(blobs, stores.clone(), rows.clone());
    let measures = Arc::new(backend.catalogs.measures());
    let sampler = StoreSampler::new(Arc::clone(&measures), answers.clone());
    Ok(Opened {
        stores,
        directory: Arc::new(CachedDirectory::alone(rows, answers, invalidation, clock)),
        outbox: Arc::new(backend.catalogs.outbox()),
        unfinished: Arc::new(backend.catalogs.unfinished()),
        schedules: Arc::new(backend.catalogs.schedules()),
        settings: Arc::new(backend.catalogs.settings()),
        webhooks: Arc::new(backend.catalogs.webhooks()),
        identities: Arc::new(backend.catalogs.identities()),
        audit_retention: Arc::new(backend.catalogs.audit_retention()),
        leftovers,
        activity: Activity::new(None),
        workers: Workers::new(None),
        measures,
        sampler,
    })
}

async fn open_backend(
    config: &StoresConfig,
    clock: &SharedClock,
    invalidation: &DirectoryInvalidation,
) -> Result<Backend, InvalidStores> {
    let (clock, invalidation) = (Arc::clone(clock), invalidation.clone());
    match &config.backends {
        Backends::Embedded => embedded::open(&config.data_dir, clock, invalidation).await,
        #[cfg(feature = "postgres")]
        Backends::Servers { postgres_url, mongo_url, neo4j_url } => {
            open_servers(postgres_url, mongo_url.as_ref(), neo4j_url.as_ref(), clock, invalidation).await
        }
        #[cfg(not(feature = "postgres"))]
        Backends::Servers { .. } => Err(InvalidStores::not_compiled_in("POSTGRES_URL", "postgres")),
    }
}

/// Installs the TLS implementation for every client in this process; one that is installed already stays.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Catalog, documents and index of one kind. Blobs, cache and the directory's cache are the same for all kinds.
pub(crate) struct Backend {
    pub(crate) catalogs: Catalogs,
    pub(crate) documents: Box<dyn Scope<dyn Documents>>,
    pub(crate) index: Box<dyn Scope<dyn Index>>,
}

impl Backend {
    /// The same, whose catalogs tell listeners what changes.
    fn told_by(self, publisher: &Publisher) -> Self {
        Self { catalogs: self.catalogs.told_by(publisher.clone()), ..self }
    }
}

/// Connects to the servers.
///
/// # Errors
/// When one does not answer, or is not set up.
#[cfg(feature = "postgres")]
async fn open_servers(
    postgres_url: &SecretString,
    mongo_url: Option<&SecretString>,
    neo4j_url: Option<&SecretString>,
    clock: SharedClock,
    invalidation: DirectoryInvalidation,
) -> Result<Backend, InvalidStores> {
    let postgres = Postgres::open(postgres_url).await?;
    let content = ContentDb::Postgres(Db::Postgres(postgres.clone()));
    let documents = open_documents(mongo_url, &content).await?;
    let graph = open_graph(neo4j_url, &clock).await?;
    let catalogs = Catalogs::new(Db::Postgres(postgres), invalidation, clock);
    Ok(Backend { catalogs, documents, index: Box::new(SqlIndex::new(content, graph)) })
}

/// Texts and extractions: in MongoDB if it is configured.
#[cfg(feature = "postgres")]
async fn open_documents(
    mongo_url: Option<&SecretString>,
    content: &ContentDb,
) -> Result<Box<dyn Scope<dyn Documents>>, InvalidStores> {
    match mongo_url {
        None => Ok(Box::new(SqlDocuments::new(content.clone()))),
        #[cfg(feature = "mongo")]
        Some(url) => Ok(Box::new(MongoDocuments::new(Mongo::open(url).await?))),
        #[cfg(not(feature = "mongo"))]
        Some(_) => Err(InvalidStores::not_compiled_in("MONGO_URL", "mongo")),
    }
}

/// Entities and relations: in Neo4j if it is configured.
#[cfg(feature = "postgres")]
async fn open_graph(neo4j_url: Option<&SecretString>, clock: &SharedClock) -> Result<Graph, InvalidStores> {
    match neo4j_url {
        None => Ok(Graph::Sql),
        #[cfg(feature = "neo4j")]
        Some(url) => {
            let neo4j = Neo4j::new(url)?;
            neo4j.answers().await?;
            Ok(Graph::Neo4j(Arc::new(neo4j), Arc::clone(clock)))
        }
        #[cfg(not(feature = "neo4j"))]
        Some(_) => {
            let _ = clock;
            Err(InvalidStores::not_compiled_in("NEO4J_URL", "neo4j"))
        }
    }
}
