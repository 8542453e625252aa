//! Request limits of tenants: rate and monthly quota.
//!
//! Only requests with the tenant's own credentials are counted, so that no caller uses up another tenant's limit. The
//! operator's requests are not counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Datelike as _, Utc};
use jobs::error::report;
use jobs::plan::{Limits, Quota};
use jobs::tenant::TenantId;
use stores::model::{OverQuota, RateTaken, RateWindow};
use stores::{StoreError, TenantStores};
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// How often counted requests are written.
const FLUSH: Duration = Duration::from_secs(1);
/// How long the last ones are waited for at the end.
const LAST_FLUSH: Duration = Duration::from_secs(10);

/// Lets a tenant's requests through that are not too many.
#[derive(Default)]
pub(crate) struct RequestQuotas {
    rate: RequestRate,
    calls: CallCounter,
}

impl RequestQuotas {
    /// Counts a request, and notes for its answer how many more there may be.
    ///
    /// # Errors
    /// When the tenant sends more than it may.
    pub(crate) async fn request(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        limits: &Limits,
        answer: &Extensions,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        if let Some(limit) = limits.maximum(Quota::RequestsPerMinute)
            && let Some(taken) = self.rate.take(stores, limit, 1, now).await
        {
            if let Some(slot) = answer.get::<RateSlot>() {
                slot.set(Rate { limit, taken });
            }
            if !taken.taken {
                let over = OverQuota { quota: Quota::RequestsPerMinute, current: taken.used, maximum: limit };
                return Err(Problem::over_quota(&over, now).retry_after_s(taken.frees_in_s.max(1)));
            }
        }
        let counted = self.calls.count(stores, tenant, limits.maximum(Quota::ApiCallsPerMonth), now).await;
        counted.map_err(|over| Problem::over_quota(&over, now))
    }

    /// How many requests the tenant sent within the last 60 seconds; `None` without a limit, and while Redis does not
    /// answer.
    pub(crate) async fn recent(
        &self,
        stores: &TenantStores,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Option<RateTaken> {
        let limit = limits.maximum(Quota::RequestsPerMinute)?;
        self.rate.take(stores, limit, 0, now).await
    }

    /// Writes the counts of one tenant, so that the catalog has them.
    pub(crate) async fn settle(&self, tenant: &TenantId) {
        self.calls.flush(Some(tenant)).await;
    }

    /// Writes the counts periodically until `stop` fires.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FLUSH)).await.is_some() {
            self.calls.flush(None).await;
        }
    }

    /// Writes the remaining counts. Call it when no more requests come.
    pub(crate) async fn finish(&self) {
        if tokio::time::timeout(LAST_FLUSH, self.calls.flush(None)).await.is_err() {
            tracing::warn!("the catalog is slow: the last requests were not counted");
        }
    }
}

/// How long the window is.
const WINDOW_S: u32 = 60;
const KEY: &str = "requests";
/// How long a request waits for Redis to check its rate.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long Redis is left alone that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells whether a tenant sends requests faster than it may. Redis counts, for all processes together; while it
/// does not answer, requests are let through: a limit is no reason to be down.
#[derive(Default)]
struct RequestRate {
    away_until: Mutex<Option<Instant>>,
    unmetered: AtomicU64,
}

impl RequestRate {
    /// Takes `more` requests of the tenant's `limit`; `None` when Redis does not answer.
    async fn take(
        &self,
        stores: &TenantStores,
        limit: u64,
        more: u64,
        now: DateTime<Utc>,
    ) -> Option<RateTaken> {
        if self.is_away() {
            self.unmetered.fetch_add(more, Ordering::Relaxed);
            return None;
        }
        let window = RateWindow { limit, window_s: WINDOW_S, now_s: now.timestamp() };
        let cache = stores.cache();
        let why = match tokio::time::timeout(PATIENCE, cache.rate_take(KEY, window, more)).await {
            Ok(Ok(taken)) => return Some(taken),
            Ok(Err(error)) => report(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        self.set_away();
        let unmetered = self.unmetered.fetch_add(more, Ordering::Relaxed) + more;
        tracing::warn!(
            unmetered,
            error = why,
            "redis is away: requests are let through without being counted"
        );
        None
    }

    fn is_away(&self) -> bool {
        let away = *self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|until| Instant::now() < until)
    }

    fn set_away(&self) {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How much of its rate a tenant has used.
#[derive(Debug, Clone, Copy)]
struct Rate {
    limit: u64,
    taken: RateTaken,
}

/// Request extension that carries the rate limiter's result to the `RateLimit` header layer.
#[derive(Clone, Default)]
pub(crate) struct RateSlot(Arc<OnceLock<Rate>>);

impl RateSlot {
    fn set(&self, rate: Rate) {
        // A request is counted once.
        let _ = self.0.set(rate);
    }
}

/// Adds `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) to the answer, refused
/// or not, of a request that was counted against a rate.
pub(crate) async fn rate_headers(mut request: Request, next: Next) -> Response {
    let slot = RateSlot::default();
    request.extensions_mut().insert(slot.clone());
    let mut response = next.run(request).await;
    if let Some(rate) = slot.0.get() {
        for (name, value) in rate.headers() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Rate {
    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let Self { limit, taken } = *self;
        let policy = format!("\"requests\";q={limit};w={WINDOW_S}");
        let now = format!("\"requests\";r={};t={}", limit.saturating_sub(taken.used), taken.frees_in_s);
        let valued = |(name, text): (HeaderName, String)| Some((name, HeaderValue::try_from(text).ok()?));
        [(POLICY, policy), (LIMIT, now)].into_iter().filter_map(valued)
    }
}

/// After how many flushes without a request a tenant is forgotten.
const IDLE_FLUSHES: u8 = 60;

/// Year and month (UTC).
type Month = (i32, u32);

/// Counts requests by month. They are written together, once a second and at the end, so that a request waits
/// for no write; other processes' requests are known from the write before.
#[derive(Default)]
struct CallCounter {
    calls: Mutex<HashMap<(TenantId, Month), Calls>>,
}

struct Calls {
    stores: TenantStores,
    /// A moment in the month.
    at: DateTime<Utc>,
    /// How many the catalog had at the last write; `None` before it was asked.
    written: Option<u64>,
    /// Calls in the write that is under way.
    writing: u64,
    /// Calls counted since, not written yet.
    pending: u64,
    idle: u8,
}

/// The counts of one write.
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
    async fn count(
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

    /// Writes the counts of one tenant, or of all.
    async fn flush(&self, only: Option<&TenantId>) {
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
            // A write that is under way is waited for: its outcome decides how many calls remain.
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
        // Every change leaves whole numbers, so that a poisoned lock is harmless.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_structured_fields() {
        let taken = RateTaken { taken: true, used: 4, frees_in_s: 31 };
        let headers: Vec<_> = Rate { limit: 10, taken }.headers().map(|(_, value)| value).collect();
        assert_eq!(headers, [r#""requests";q=10;w=60"#, r#""requests";r=6;t=31"#]);
        let lowered = Rate { limit: 3, taken };
        assert_eq!(lowered.headers().last().unwrap().1, r#""requests";r=0;t=31"#);
    }
}
