use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Datelike as _, Utc};
use jobs::error::report;
use jobs::plan::Quota;
use jobs::tenant::TenantId;
use stores::model::OverQuota;
use stores::{StoreError, TenantStores};

/// How many flushes a tenant is remembered for that sends nothing.
const IDLE_FLUSHES: u8 = 60;

/// Year and month (UTC).
type Month = (i32, u32);

/// Counts requests by month. They are written together, once a second and at the end, so that a request waits
/// for no write; other processes' requests are known from the write before.
#[derive(Default)]
pub(super) struct CallCounter {
    calls: Mutex<HashMap<(TenantId, Month), Calls>>,
}

struct Calls {
    stores: TenantStores,
    /// A moment in the month.
    at: DateTime<Utc>,
    /// How many the catalog had at the last write; `None` before it was asked.
    written: Option<u64>,
    /// How many are being written.
    writing: u64,
    /// How many are to be written.
    pending: u64,
    idle: u8,
}

/// What is written at once.
struct Batch {
    key: (TenantId, Month),
    stores: TenantStores,
    at: DateTime<Utc>,
    more: u64,
}

impl CallCounter {
    /// Counts a request, unless it is one too many.
    ///
    /// # Errors
    /// When there were `maximum` this month.
    pub(super) async fn count(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<(), OverQuota> {
        let key = (tenant.clone(), month(now));
        if maximum.is_some() && self.calls().get(&key).is_none_or(|calls| calls.written.is_none()) {
            self.ask(stores, &key, now).await;
        }
        let mut all = self.calls();
        let calls = all.entry(key).or_insert_with(|| Calls::new(stores, now));
        let current = calls.written.unwrap_or(0) + calls.writing + calls.pending;
        if let Some(maximum) = maximum.filter(|maximum| current >= *maximum) {
            return Err(OverQuota { quota: Quota::ApiCallsPerMonth, current, maximum });
        }
        calls.pending += 1;
        calls.idle = 0;
        Ok(())
    }

    /// What the catalog has. If it does not answer, the next request asks again.
    async fn ask(&self, stores: &TenantStores, key: &(TenantId, Month), now: DateTime<Utc>) {
        match stores.catalog().api_calls_add(0, now).await {
            Ok(written) => {
                let mut all = self.calls();
                let calls = all.entry(key.clone()).or_insert_with(|| Calls::new(stores, now));
                calls.written.get_or_insert(written);
            }
            Err(error) => {
                let error = report(&error);
                tracing::warn!(tenant.id = %key.0, error, "requests of this month are not known");
            }
        }
    }

    /// Writes what was counted of one tenant, or of all.
    pub(super) async fn flush(&self, only: Option<&TenantId>) {
        for Batch { key, stores, at, more } in self.begin(only) {
            let outcome = stores.catalog().api_calls_add(more, at).await;
            self.end(&key, more, outcome);
        }
    }

    fn begin(&self, only: Option<&TenantId>) -> Vec<Batch> {
        let mut all = self.calls();
        if only.is_none() {
            all.retain(|_, calls| calls.is_of_use());
        }
        let chosen = all.iter_mut().filter(|(key, calls)| {
            // What is being written already is waited for: its outcome says how many there are.
            only.is_none_or(|only| key.0 == *only) && calls.pending > 0 && calls.writing == 0
        });
        chosen
            .map(|(key, calls)| {
                calls.writing = std::mem::take(&mut calls.pending);
                let (key, stores) = (key.clone(), calls.stores.clone());
                Batch { key, stores, at: calls.at, more: calls.writing }
            })
            .collect()
    }

    fn end(&self, key: &(TenantId, Month), more: u64, outcome: Result<u64, StoreError>) {
        let mut all = self.calls();
        let Some(calls) = all.get_mut(key) else { return };
        calls.writing = 0;
        match outcome {
            Ok(written) => calls.written = Some(written),
            Err(error) => {
                // Perhaps it was written and only the answer was lost: then it counts twice, but never not at all.
                calls.pending += more;
                tracing::warn!(tenant.id = %key.0, error = report(&error), "requests were not counted yet");
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<(TenantId, Month), Calls>> {
        // Every change leaves whole numbers behind, whoever panicked.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn new(stores: &TenantStores, at: DateTime<Utc>) -> Self {
        Self { stores: stores.clone(), at, written: None, writing: 0, pending: 0, idle: 0 }
    }

    fn is_of_use(&mut self) -> bool {
        self.idle = self.idle.saturating_add(1);
        self.pending > 0 || self.writing > 0 || self.idle < IDLE_FLUSHES
    }
}

fn month(now: DateTime<Utc>) -> Month {
    (now.year(), now.month())
}
