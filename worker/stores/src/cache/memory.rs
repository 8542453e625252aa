//! The cache without Redis, for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::TenantId;

use crate::model::{RateTaken, RateWindow};
use crate::ports::{Cache, StoreResult};
use crate::scoped::Scope;

type Values = HashMap<(TenantId, String), (String, DateTime<Utc>)>;

/// The caches of all tenants. Entries expire by the given clock.
#[derive(Clone)]
pub(crate) struct MemoryCache {
    values: Arc<Mutex<Values>>,
    rates: Arc<MemoryRates>,
    clock: SharedClock,
}

impl MemoryCache {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { values: Arc::default(), rates: Arc::default(), clock }
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

    async fn rate_take(&self, key: &str, window: RateWindow, more: u64) -> StoreResult<RateTaken> {
        Ok(self.all.rates.take(self.key(key), window, more))
    }

    async fn clear(&self) -> StoreResult<()> {
        self.all.values().retain(|(tenant, _), _| *tenant != self.tenant);
        Ok(())
    }
}

/// Amounts taken in each second, by tenant and key.
#[derive(Default)]
struct MemoryRates(Mutex<HashMap<(TenantId, String), BTreeMap<i64, u64>>>);

impl MemoryRates {
    /// The same algorithm as `rate.lua`.
    fn take(&self, key: (TenantId, String), window: RateWindow, more: u64) -> RateTaken {
        let RateWindow { limit, window_s, now_s } = window;
        // Every change is one call on the map, so it is consistent even after a panic.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = all.entry(key).or_default();
        seconds.retain(|second, _| *second > now_s - i64::from(window_s));
        let used: u64 = seconds.values().sum();
        let oldest = seconds.keys().next().copied().unwrap_or(now_s).min(now_s);
        let frees_in_s = u32::try_from(oldest + i64::from(window_s) - now_s).unwrap_or(window_s);
        if used + more > limit {
            return RateTaken { taken: false, used, frees_in_s };
        }
        if more > 0 {
            *seconds.entry(now_s).or_default() += more;
        }
        RateTaken { taken: true, used: used + more, frees_in_s }
    }
}
