use std::sync::{Arc, OnceLock};

use jobs::clock::SystemClock;
use stores::StoresConfig;
use tokio::runtime::{Builder, Runtime};

use super::system::Bed;
use crate::services::{Scratch, ServerUrls, migrated};

/// The one system on the real servers. Its outbox relay and scheduler see all tenants of those servers, so a
/// second one with other keys would take this one's jobs.
static SERVERS: OnceLock<(Runtime, Bed)> = OnceLock::new();

/// The system on the servers named by `POSTGRES_URL`, `MONGO_URL` and `NEO4J_URL`, with tables as `worker
/// migrate` makes them.
///
/// # Panics
/// When a variable is missing: these tests need real servers, which `make test` starts.
pub async fn servers() -> &'static Bed {
    // On a runtime of its own: a test's runtime ends with the test, and the system must not.
    let start = || {
        SERVERS.get_or_init(|| {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            let bed = runtime.block_on(async {
                let urls = migrated().await;
                let data = tempfile::tempdir().expect("a temporary directory");
                let stores = urls.stores(data.path());
                Bed::start(data, stores, Arc::new(SystemClock)).await
            });
            (runtime, bed)
        })
    };
    let bed = tokio::task::spawn_blocking(move || &start().1).await;
    bed.expect("the system on the servers starts")
}

/// A system of the test's own on Redis and PostgreSQL alone, in a database of its own, so that it and the system on all
/// servers do not take each other's jobs.
///
/// # Panics
/// As [`servers`].
pub async fn postgres_alone() -> (Bed, Scratch) {
    let database = Scratch::create().await;
    database.migrate().await;
    (Bed::on_postgres(tempfile::tempdir().expect("a temporary directory"), &database).await, database)
}

/// The same on a Redis that the test may break.
///
/// # Panics
/// As [`servers`].
pub async fn postgres_alone_on(redis_url: &str) -> (Bed, Scratch) {
    let database = Scratch::create().await;
    database.migrate().await;
    (Bed::on_postgres_and_redis(&database, redis_url).await, database)
}

/// A system on these servers, on PostgreSQL and Redis alone or on all of them, none of which another system uses with
/// the same PostgreSQL database. It looks for lost work every second.
///
/// # Panics
/// As [`servers`].
pub async fn on_servers(urls: &ServerUrls, on_all: bool) -> Bed {
    let data = tempfile::tempdir().expect("a temporary directory");
    let stores = if on_all { urls.stores(data.path()) } else { urls.stores_on_postgres_alone(data.path()) };
    // One part on one server, more on a cluster, as a program has it without a setting.
    let shards = jobs::queue::config(stores.redis_url.clone()).shards;
    Bed::breakable(data, stores, (shards, 1)).await
}

impl Bed {
    /// A system on a PostgreSQL database and a Redis that the test may break.
    async fn on_postgres_and_redis(database: &Scratch, redis_url: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let stores = database.urls.stores_on_postgres_alone(data.path());
        let stores = StoresConfig { redis_url: redis_url.into(), ..stores };
        Self::breakable(data, stores, (1, 1)).await
    }

    /// A system on Redis and a PostgreSQL database, with a language model.
    pub async fn on_postgres_asking(database: &Scratch, model_url: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let stores = database.urls.stores_on_postgres_alone(data.path());
        Self::asking(data, stores, model_url).await
    }

    /// A system on Redis and a PostgreSQL database, with the secrets and originals of a directory.
    pub async fn on_postgres(data: tempfile::TempDir, database: &Scratch) -> Self {
        let stores = database.urls.stores_on_postgres_alone(data.path());
        Self::start(data, stores, Arc::new(SystemClock)).await
    }
}
