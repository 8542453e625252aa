//! The cache without Redis, for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::TenantId;

use crate::ports::{Cache, StoreResult};
use crate::scoped::Scope;

type Values = HashMap<(TenantId, String), (String, DateTime<Utc>)>;

/// The caches of all tenants. Entries expire by the given clock.
#[derive(Clone)]
pub(crate) struct MemoryCache {
    values: Arc<Mutex<Values>>,
    clock: SharedClock,
}

impl MemoryCache {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { values: Arc::default(), clock }
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // Every change is one call on the map, so it is consistent even after a panic.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scope<dyn Cache> for MemoryCache {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Cache> {
        Arc::new(TenantMemory { all: self.clone(), tenant: tenant.clone() })
    }
}

struct TenantMemory {
    all: MemoryCache,
    tenant: TenantId,
}

impl TenantMemory {
    fn key(&self, key: &str) -> (TenantId, String) {
        (self.tenant.clone(), key.to_owned())
    }
}

#[async_trait::async_trait]
impl Cache for TenantMemory {
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let ttl = chrono::TimeDelta::from_std(ttl).unwrap_or(chrono::TimeDelta::days(365));
        let until = self.all.clock.now() + ttl;
        self.all.values().insert(self.key(key), (value.to_owned(), until));
        Ok(())
    }

    async fn get(&self, key: &str) -> StoreResult<Option<String>> {
        let now = self.all.clock.now();
        let values = self.all.values();
        let live = values.get(&self.key(key)).filter(|(_, until)| now < *until);
        Ok(live.map(|(value, _)| value.clone()))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.all.values().remove(&self.key(key));
        Ok(())
    }

    async fn put_field(&self, key: &str, field: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let mut fields = self.fields(key).await?;
        fields.insert(field.to_owned(), value.to_owned());
        let text = serde_json::to_string(&fields).unwrap_or_default();
        self.put(key, &text, ttl).await
    }

    async fn fields(&self, key: &str) -> StoreResult<BTreeMap<String, String>> {
        let text = self.get(key).await?.unwrap_or_default();
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn clear(&self) -> StoreResult<()> {
        self.all.values().retain(|(tenant, _), _| *tenant != self.tenant);
        Ok(())
    }
}
