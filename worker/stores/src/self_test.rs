//! The start-up self-test: writes as one tenant, and refuses to start if another tenant can read it.
//!
//! Every process runs it at its start, so each run has its own ids and removes what it wrote. In the catalog it
//! writes an idempotency record, which expires. No tenant, knowledge base or document row is created for the
//! canary.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::{KbId, TenantId};
use jobs::{DocumentId, JobId};
use sha2::{Digest as _, Sha256};

use crate::catalog::Catalog;
use crate::config::{Backends, InvalidStores};
use crate::error::StoreError;
use crate::model::{
    Acceptance, Chunk, Extraction, GraphCounts, Idempotency, Kb, Mention, MentionKind, NewKb, WorkspaceId,
};
use crate::ports::{Blobs, Cache, Documents, Index, StoreResult};
use crate::scoped::{Ports, Scope};

/// The tenant that writes. The ids of both look alike, so that a comparison by prefix would fail the test.
const CANARY: &str = "self-test-canary-3f9c1b7d";
/// The tenant that tries to read.
const PROBE: &str = "self-test-canary-3f9c1b7d-2";

/// What the two tenants read of the canary's row.
struct Seen {
    canary: bool,
    probe: bool,
}

/// The canary's and the probe's view of one port.
type Pair<P> = (Arc<P>, Arc<P>);

fn pair<P: ?Sized>(port: &dyn Scope<P>) -> Pair<P> {
    let tenant = |id: &str| -> TenantId { id.parse().expect("both ids are labels") };
    (port.scope(&tenant(CANARY)), port.scope(&tenant(PROBE)))
}

/// The ids of one run.
struct Canary {
    now: DateTime<Utc>,
    name: String,
    kb: Kb,
    document: DocumentId,
}

impl Canary {
    fn hatch(now: DateTime<Utc>) -> Self {
        let name = format!("canary-{}", JobId::generate(now));
        let id: KbId = name.parse().expect("a word and a UUID are a label");
        let digest = Sha256::digest(name.as_bytes());
        let random = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let workspace = WorkspaceId::generate(now, random);
        let kb = NewKb::new(id, name.clone(), workspace).at(now);
        Self { now, document: DocumentId::of_name(&name), name, kb }
    }

    async fn catalog(&self, (canary, probe): Pair<Catalog>) -> StoreResult<Seen> {
        let idempotency = Idempotency {
            key: self.name.clone(),
            fingerprint: self.name.clone(),
            status: 200,
            body: serde_json::Value::Null,
        };
        let acceptance = Acceptance { idempotency: Some(idempotency), ..Acceptance::default() };
        canary.accept(&acceptance, self.now).await?;
        Ok(Seen {
            canary: canary.replay(&self.name).await?.is_some(),
            probe: probe.replay(&self.name).await?.is_some(),
        })
    }

    async fn documents(&self, (canary, probe): Pair<dyn Documents>) -> StoreResult<Seen> {
        let (kb, document) = (&self.kb.id, &self.document);
        canary.provision().await?;
        probe.provision().await?;
        canary.extractions_put(kb, document, 1, &[(0, Extraction::default())]).await?;
        let seen = Seen {
            canary: !canary.extractions(kb, document, 1, 0..1).await?.is_empty(),
            probe: !probe.extractions(kb, document, 1, 0..1).await?.is_empty(),
        };
        canary.extractions_forget(kb, document, None).await?;
        Ok(seen)
    }

    /// Both use one workspace, so that only the tenant can keep them apart.
    async fn index(&self, (canary, probe): Pair<dyn Index>) -> StoreResult<Seen> {
        let (kb, document, name) = (&self.kb, &self.document, self.name.as_str());
        let chunk = Chunk { order: 0, tokens: 1, content: "canary".into() };
        let kind = MentionKind::Entity { name: name.to_owned(), entity_type: "canary".into() };
        let mention = Mention { kind, chunk_id: document.chunk_id(0), description: String::new() };
        canary.chunks_replace(kb, document, name, &[chunk]).await?;
        canary.graph_replace(kb, document, name, &[mention]).await?;
        let own = canary.counts(kb).await?;
        let foreign = probe.counts(kb).await?;
        let chunks = probe.chunks(kb, document, 0..1).await?;
        let entities = probe.entities(kb, None, 1).await?;
        canary.graph_replace(kb, document, name, &[]).await?;
        canary.chunks_replace(kb, document, name, &[]).await?;
        Ok(Seen {
            canary: own.chunks == 1 && own.entities == 1,
            probe: foreign != GraphCounts::default() || !chunks.is_empty() || !entities.items.is_empty(),
        })
    }

    async fn blobs(&self, (canary, probe): Pair<dyn Blobs>) -> StoreResult<Seen> {
        let (kb, document) = (&self.kb.id, &self.document);
        let bytes = Bytes::from(self.name.clone());
        let sha256 = hex::encode(Sha256::digest(&bytes));
        canary.original_put(kb, document, &sha256, bytes).await?;
        let seen = Seen {
            canary: canary.original(kb, document, &sha256).await?.is_some(),
            probe: probe.original(kb, document, &sha256).await?.is_some(),
        };
        canary.originals_forget(kb, document, None).await?;
        Ok(seen)
    }

    async fn cache(&self, (canary, probe): Pair<dyn Cache>) -> StoreResult<Seen> {
        canary.put(&self.name, "canary", Duration::from_secs(60)).await?;
        let seen = Seen {
            canary: canary.get(&self.name).await?.is_some(),
            probe: probe.get(&self.name).await?.is_some(),
        };
        canary.delete(&self.name).await?;
        Ok(seen)
    }
}

/// Proves for every port that the probe cannot read what the canary wrote.
///
/// # Errors
/// When it can, when the canary itself cannot, or when a store fails.
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

/// The settings to name in the error when a port fails.
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
            Backends::Servers { mongo_url, neo4j_url, .. } => {
                let catalog = "POSTGRES_URL";
                Self {
                    catalog,
                    documents: mongo_url.as_ref().map_or(catalog, |_| "MONGO_URL"),
                    index: neo4j_url.as_ref().map_or(catalog, |_| "NEO4J_URL"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use jobs::clock::{Clock as _, SystemClock};
    use jobs::redis::{RedisAddress, RedisClient};
    use jobs::tenant::TenantId;

    use super::*;
    use crate::blobs::ObjectBlobs;
    use crate::config::StoresConfig;
    use crate::directory::{Answers, DirectoryInvalidation};
    use crate::open::Backend;
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

        async fn put_field(&self, key: &str, field: &str, value: &str, ttl: Duration) -> StoreResult<()> {
            self.put(&format!("{key}/{field}"), value, ttl).await
        }

        async fn fields(&self, _key: &str) -> StoreResult<BTreeMap<String, String>> {
            Ok(BTreeMap::new())
        }

        async fn clear(&self) -> StoreResult<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
    }

    async fn embedded(config: &StoresConfig) -> Backend {
        let address = RedisAddress::parse(&"redis://127.0.0.1:1".to_owned().into()).unwrap();
        let redis = RedisClient::new(&address, Duration::from_secs(5)).unwrap();
        let invalidation = DirectoryInvalidation::new(Answers::new(), redis);
        crate::embedded::open(&config.data_dir, Arc::new(SystemClock), invalidation).await.unwrap()
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

    /// If neither tenant reads the row, isolation is not proven.
    #[tokio::test]
    async fn a_store_that_shows_nothing_is_refused() {
        let seen = Ok(Seen { canary: false, probe: false });
        leaks("cache", seen);
    }
}
