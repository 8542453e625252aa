use jobs::clock::SharedClock;

use super::canary::{Canary, Seen, pair};
use crate::config::{Backends, InvalidStores};
use crate::error::StoreError;
use crate::ports::StoreResult;
use crate::scoped::Ports;

/// Proves for every port that the probe cannot read what the canary wrote.
///
/// # Errors
/// When it can, when the canary itself cannot, or when a store refuses.
pub(crate) async fn run(
    ports: &Ports,
    backends: &Backends,
    clock: &SharedClock,
) -> Result<(), InvalidStores> {
    let canary = Canary::hatch(clock.now());
    let settings = Settings::of(backends);
    let checks = [
        ("the catalog", settings.catalog, canary.catalog(pair(&ports.catalogs)).await),
        ("the documents", settings.documents, canary.documents(pair(&*ports.documents)).await),
        ("the index", settings.index, canary.index(pair(&*ports.index)).await),
        ("the blobs", "TENANTRY_BLOBS_URL", canary.blobs(pair(&*ports.blobs)).await),
        ("the cache", "REDIS_URL", canary.cache(pair(&*ports.cache)).await),
    ];
    checks.into_iter().try_for_each(|(port, setting, seen)| judge(port, setting, seen))
}

fn judge(port: &str, setting: &'static str, seen: StoreResult<Seen>) -> Result<(), InvalidStores> {
    match seen {
        Ok(Seen { canary: true, probe: false }) => Ok(()),
        Ok(Seen { canary: true, probe: true }) => Err(InvalidStores::NotIsolated {
            setting,
            what: format!("{port} showed one tenant's row to another"),
        }),
        Ok(Seen { canary: false, .. }) => {
            let what = format!("{port} did not show a tenant its own row, so its isolation cannot be proved");
            Err(InvalidStores::NotIsolated { setting, what })
        }
        Err(error) => Err(unreachable(port, setting, &error)),
    }
}

fn unreachable(port: &str, setting: &'static str, error: &StoreError) -> InvalidStores {
    let cause = jobs::error::root(error);
    let fix = match setting {
        "TENANTRY_DATA_DIR" => {
            "see that this user may write there and that the disk has room, or restore a copy"
        }
        "POSTGRES_URL" => "run `tenantry migrate`, or correct the setting",
        _ => "correct the setting, or see that this user may read and write there",
    };
    InvalidStores::Unreachable { setting, problem: format!("{port} failed the self-test ({cause}): {fix}") }
}

/// The settings to name when a port fails.
struct Settings {
    catalog: &'static str,
    documents: &'static str,
    index: &'static str,
}

impl Settings {
    fn of(backends: &Backends) -> Self {
        match backends {
            Backends::Embedded => {
                let setting = "TENANTRY_DATA_DIR";
                Self { catalog: setting, documents: setting, index: setting }
            }
            Backends::Servers { .. } => {
                Self { catalog: "POSTGRES_URL", documents: "MONGO_URL", index: "NEO4J_URL" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use jobs::clock::{Clock as _, SystemClock};
    use jobs::tenant::TenantId;
    use redis::aio::{ConnectionManager, ConnectionManagerConfig};

    use super::*;
    use crate::backend::Backend;
    use crate::blobs::ObjectBlobs;
    use crate::config::StoresConfig;
    use crate::directory::{Answers, DirectoryNews};
    use crate::model::{RateTaken, RateWindow};
    use crate::ports::Cache;
    use crate::scoped::Scope;

    /// Gives every tenant the same store.
    struct Shared<P: ?Sized>(Arc<P>);

    impl<P: ?Sized + Send + Sync> Scope<P> for Shared<P> {
        fn scope(&self, _tenant: &TenantId) -> Arc<P> {
            Arc::clone(&self.0)
        }
    }

    /// Gives every tenant a cache of its own.
    struct Separate;

    impl Scope<dyn Cache> for Separate {
        fn scope(&self, _tenant: &TenantId) -> Arc<dyn Cache> {
            Arc::new(MemoryCache::default())
        }
    }

    #[derive(Default)]
    struct MemoryCache(Mutex<HashMap<String, String>>);

    #[async_trait::async_trait]
    impl Cache for MemoryCache {
        async fn put(&self, key: &str, value: &str, _ttl: Duration) -> StoreResult<()> {
            self.0.lock().unwrap().insert(key.into(), value.into());
            Ok(())
        }

        async fn get(&self, key: &str) -> StoreResult<Option<String>> {
            Ok(self.0.lock().unwrap().get(key).cloned())
        }

        async fn delete(&self, key: &str) -> StoreResult<()> {
            self.0.lock().unwrap().remove(key);
            Ok(())
        }

        async fn rate_take(&self, _key: &str, _window: RateWindow, _more: u64) -> StoreResult<RateTaken> {
            unreachable!("the self-test takes nothing")
        }

        async fn clear(&self) -> StoreResult<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
    }

    async fn embedded(config: &StoresConfig) -> Backend {
        let client = redis::Client::open("redis://127.0.0.1:1").unwrap();
        let redis = ConnectionManager::new_lazy_with_config(client, ConnectionManagerConfig::new()).unwrap();
        let news = DirectoryNews::new(Answers::new(), crate::cache::Commands::Server(redis));
        crate::embedded::open(&config.data_dir, Arc::new(SystemClock), news).await.unwrap()
    }

    fn leaks(port: &str, seen: StoreResult<Seen>) {
        match judge(port, "SETTING", seen) {
            Err(InvalidStores::NotIsolated { setting: "SETTING", what }) => {
                assert!(what.starts_with(port), "{what}");
            }
            other => panic!("{port}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_store_that_tenants_share_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let config = StoresConfig {
            backends: Backends::Embedded,
            blobs_url: None,
            data_dir: data.path().to_owned(),
            redis_url: String::new().into(),
        };
        let backend = embedded(&config).await;
        let blobs = ObjectBlobs::open(&config).unwrap();
        let canary = Canary::hatch(SystemClock.now());
        let anyone = "anyone".parse().unwrap();
        for seen in [
            canary.catalog(pair(&backend.catalogs)).await,
            canary.documents(pair(&*backend.documents)).await,
            canary.index(pair(&*backend.index)).await,
            canary.blobs(pair(&blobs)).await,
        ] {
            judge("the store", "SETTING", seen).unwrap();
        }
        judge("the cache", "SETTING", canary.cache(pair(&Separate)).await).unwrap();

        let canary = Canary::hatch(SystemClock.now());
        leaks("catalog", canary.catalog(pair(&Shared(backend.catalogs.scope(&anyone)))).await);
        leaks("documents", canary.documents(pair(&Shared(backend.documents.scope(&anyone)))).await);
        leaks("index", canary.index(pair(&Shared(backend.index.scope(&anyone)))).await);
        leaks("blobs", canary.blobs(pair(&Shared(blobs.scope(&anyone)))).await);
        leaks("cache", canary.cache(pair(&Shared(Separate.scope(&anyone)))).await);
    }

    /// Nobody sees anything: that proves nothing either.
    #[tokio::test]
    async fn a_store_that_shows_nothing_is_refused() {
        let seen = Ok(Seen { canary: false, probe: false });
        leaks("cache", seen);
    }
}
