use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jobs::error::report;
use stores::TenantStores;
use stores::model::{RateTaken, RateWindow};

/// How long the window is.
pub(super) const WINDOW_S: u32 = 60;
const KEY: &str = "requests";
/// How long a request waits for Redis to say whether it is one too many.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long Redis is left alone that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells whether a tenant sends requests faster than it may. Redis counts, for all processes together; while it
/// does not answer, requests are let through: a limit is no reason to be down.
#[derive(Default)]
pub(super) struct RateLimiter {
    away_until: Mutex<Option<Instant>>,
    unmetered: AtomicU64,
}

impl RateLimiter {
    /// Takes `more` requests of the tenant's `limit`; `None` when Redis does not answer.
    pub(super) async fn take(
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
