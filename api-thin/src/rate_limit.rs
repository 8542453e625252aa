//! How often tenants may ask, and what room the queue has for what they ask.
//!
//! Only requests with the tenant's own credentials are counted, so that no caller uses up another tenant's limit. The
//! operator's requests are not counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::error::report;
use jobs::plan::{Limits, Quota};
use jobs::queue::{Queue, QueueError, RateTaken, RateWindow, RoomLeft};
use jobs::tenant::TenantId;
use stores::model::OverQuota;

use crate::problem::Problem;

/// How long the window is.
const WINDOW_S: u32 = 60;
/// How long a request waits for Redis to check its rate.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long Redis is left alone that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells whether a tenant sends requests faster than it may. Redis counts, for all processes together; while it
/// does not answer, requests are let through: a limit is no reason to be down.
#[derive(Default)]
pub(crate) struct RequestRate {
    away_until: Mutex<Option<Instant>>,
    unmetered: AtomicU64,
}

impl RequestRate {
    /// Counts a request, and notes for its answer how many more there may be. Returns what room the tenant has in the
    /// queue `room_in`, which is asked in the same call; `None` when none is named, no rate is limited, or Redis does
    /// not answer.
    ///
    /// # Errors
    /// When the tenant sends more than it may.
    pub(crate) async fn request(
        &self,
        queue: &Queue,
        (tenant, limits): (&TenantId, &Limits),
        room_in: Option<&'static str>,
        answer: &Extensions,
        now: DateTime<Utc>,
    ) -> Result<Option<KnownRoom>, Problem> {
        let Some(limit) = limits.maximum(Quota::RequestsPerMinute) else { return Ok(None) };
        let Some((taken, room)) = self.take(queue, (tenant, limit), 1, room_in, now).await else {
            return Ok(None);
        };
        if let Some(slot) = answer.get::<RateSlot>() {
            slot.set(Rate { limit, taken });
        }
        if !taken.taken {
            let over = OverQuota { quota: Quota::RequestsPerMinute, current: taken.used, maximum: limit };
            return Err(Problem::over_quota(&over, now).retry_after_s(taken.frees_in_s.max(1)));
        }
        Ok(room.map(|room| KnownRoom { room, read_at: Instant::now() }))
    }

    /// How many requests the tenant sent within the last 60 seconds; `None` without a limit, and while Redis does not
    /// answer.
    pub(crate) async fn recent(
        &self,
        queue: &Queue,
        tenant: &TenantId,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Option<RateTaken> {
        let limit = limits.maximum(Quota::RequestsPerMinute)?;
        Some(self.take(queue, (tenant, limit), 0, None, now).await?.0)
    }

    /// Takes `more` of the tenant's `limit`; `None` when Redis does not answer.
    async fn take(
        &self,
        queue: &Queue,
        (tenant, limit): (&TenantId, u64),
        more: u64,
        room_in: Option<&str>,
        now: DateTime<Utc>,
    ) -> Option<(RateTaken, Option<RoomLeft>)> {
        if self.is_away() {
            self.unmetered.fetch_add(more, Ordering::Relaxed);
            return None;
        }
        let window = RateWindow { limit, window_s: WINDOW_S, now_s: now.timestamp() };
        let why = match tokio::time::timeout(PATIENCE, queue.admit(tenant, window, more, room_in)).await {
            Ok(Ok(admitted)) => return Some(admitted),
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

/// How long room that was read with the rate is believed. A request whose body takes longer asks again.
const BELIEVED: Duration = Duration::from_secs(2);

/// Room in the queue, as it was when the request was counted.
#[derive(Debug, Clone)]
pub(crate) struct KnownRoom {
    room: RoomLeft,
    read_at: Instant,
}

impl KnownRoom {
    /// Whether there was room for `jobs`; `None` when that is not known, or was too long ago.
    pub(crate) fn check(&self, jobs: &[StampedJob]) -> Option<Result<(), QueueError>> {
        if self.read_at.elapsed() > BELIEVED { None } else { self.room.check(jobs) }
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
