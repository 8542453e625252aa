use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use stores::model::RateTaken;

use super::rate::WINDOW_S;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How much of its rate a tenant has used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) limit: u64,
    pub(super) taken: RateTaken,
}

/// Where whoever counts a request leaves what its answer has to say.
#[derive(Clone, Default)]
pub(crate) struct RateSlot(Arc<OnceLock<Rate>>);

impl RateSlot {
    pub(super) fn set(&self, rate: Rate) {
        // A request is counted once.
        let _ = self.0.set(rate);
    }
}

/// Adds `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) to the answer, a refusal or
/// not, of a request that was counted against a rate.
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
