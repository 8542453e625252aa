//! Cross-origin resource sharing: lets pages of named origins call the API from a browser.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Cors;

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(3_600);

/// Headers that requests may have.
const SENT: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    HeaderName::from_static("audit-reason"),
    HeaderName::from_static("batch-id"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-kb-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-tenant-id"),
];

/// Headers of answers that a page may read.
const SHOWN: [HeaderName; 7] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
];

/// What the origins may do. Cookies are not among it: the API takes none.
pub(super) fn cors_layer(Cors { origins }: &Cors) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(SENT)
        .expose_headers(SHOWN)
        .max_age(MAX_AGE)
}

/// Answers preflights of the API, and marks its other answers for the origins that may read them; refusals too, so that
/// a page sees why. Other paths are for people, and not shared.
pub(super) async fn cross_origin(State(cors): State<CorsLayer>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/v1/") {
        return next.run(request).await;
    }
    let answered: Result<Response, Infallible> = cors.layer(next).oneshot(request).await;
    answered.unwrap_or_else(|never| match never {})
}
