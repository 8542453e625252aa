//! Middleware around every handler.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::{ConnectInfo, FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use http_body::{Frame, SizeHint};
use jobs::clock::SharedClock;
use jobs::envelope::{SPANS, TraceParent};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::cross_origin::{cors_layer, cross_origin};
use crate::audit::{Action, AuditSlot, Audited, reason};
use crate::authority::RequestTrace;
use crate::config::Cors;
use crate::connections::OpenRequest;
use crate::metrics::request_answered;
use crate::problem::{Code, Problem};
use crate::rate_limit::rate_headers;
use crate::routes::{Audit, ROUTES, Route, documented_routes};
use crate::state::ApiState;

/// The whole API, with the dashboard beside it, ready to serve.
pub fn router(app: ApiState) -> Router {
    let (clock, link) = (SharedClock::clone(app.clock()), app.sign_in_link());
    let api = surround(documented_routes().into(), &app).with_state(app);
    dashboard::beside(api, connection_of, move || clock.now(), link)
}

/// What a request's connection is known by. It counts for what a page of the dashboard asks on behalf of the request.
fn connection_of(request: &Extensions) -> Extensions {
    let mut connection = Extensions::new();
    if let Some(ConnectInfo(peer)) = request.get::<ConnectInfo<SocketAddr>>() {
        connection.insert(ConnectInfo(*peer));
    }
    if let Some(open) = request.get::<Arc<OpenRequest>>() {
        connection.insert(Arc::clone(open));
    }
    connection
}

/// Puts around the routes what every request passes. The last layer is the outermost.
fn surround(routes: Router<ApiState>, app: &ApiState) -> Router<ApiState> {
    let mut routes = routes
        .fallback(unknown_route)
        .layer(from_fn_with_state(app.clone(), deadline))
        .layer(from_fn(as_problem))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), audit))
        .layer(from_fn(rate_headers))
        .layer(from_fn(leave_nothing_unread));
    if app.cors() != &Cors::default() {
        routes = routes.layer(from_fn_with_state(cors_layer(app.cors()), cross_origin));
    }
    routes.layer(from_fn(observe))
}

/// Ends a request that takes too long, its body included.
pub(super) async fn deadline(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    let limit = app.request_limits().request_time;
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("the request was not finished within {} s", limit.as_secs());
        Problem::new(Code::RequestTimeout, detail).into_response()
    })
}

/// Request extension with the id of the request.
#[derive(Clone)]
struct RequestId(Arc<str>);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives every request an id, a span and a line in the log, and every answer the headers that keep it from
/// being cached or guessed at. Bodies, queries and credentials are never logged.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let (route, method) = (route.to_owned(), request.method().clone());
    let (started, traced) = (Instant::now(), begin_trace(&mut request, &route));
    // Inside of the span that is exported, so that what the log is told of the request's tenant reaches it.
    let span = tracing::info_span!(
        parent: &traced,
        "request",
        http.method = %method,
        http.route = route,
        request.id = %id,
        tenant.id = tracing::field::Empty,
    );
    let mut response = next.run(request).instrument(span.clone()).instrument(traced.clone()).await;
    traced.record("http.status", response.status().as_u16());
    let elapsed = started.elapsed();
    request_answered(&method, &route, response.status(), elapsed);
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(http.status = status, elapsed_ms, "request answered"));
    add_headers(response.headers_mut(), &id);
    response
}

/// Makes the request a span of its trace, which what it causes continues.
fn begin_trace(request: &mut Request, route: &str) -> Span {
    let header = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let (trace, before) = RequestTrace::begin(header);
    let span = trace.span().filter(|span| span.is_sampled()).map_or_else(Span::none, |span| {
        tracing::trace_span!(
            target: SPANS,
            "request",
            trace.id = span.trace_id(),
            trace.span = span.span_id(),
            trace.parent = before.as_ref().map(TraceParent::span_id),
            http.method = %request.method(),
            http.route = route,
            http.status = tracing::field::Empty,
        )
    });
    request.extensions_mut().insert(trace);
    span
}

fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; frame-ancestors 'none'";
    // A page sets its own policy.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
}

/// The caller's id if it is fit for a log line, else a fresh one.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes an entry when the request is answered, or its client leaves, if its caller had the authority to act. Outside
/// of the layers that make an answer of panics and timeouts, so that their status is in the entry.
async fn audit(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    let Some(route) = logged_route(&request) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let reason = match reason(&parts.headers) {
        Ok(reason) => reason,
        Err(problem) => return problem.into_response(),
    };
    let audited = Audited {
        action: route.operation_id(),
        for_operator: route.audit == Audit::LoggedForOperator,
        target: target(&mut parts).await,
        reason,
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default(),
    };
    let slot = AuditSlot::default();
    parts.extensions.insert(slot.clone());
    let action = Action::begin(app, slot, audited);
    let response = next.run(Request::from_parts(parts, body)).await;
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    action.answered(response.status().as_u16(), location).await;
    response
}

/// The route of a request, if the table says that it is logged.
fn logged_route(request: &Request) -> Option<&'static Route> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = request.method().as_str();
    let is_it = |route: &&Route| route.method.eq_ignore_ascii_case(method) && route.is_at(path);
    ROUTES.iter().find(is_it).filter(|route| route.audit.is_logged())
}

/// What the path names, but for the tenant, whose log the entry goes to.
async fn target(parts: &mut Parts) -> BTreeMap<String, String> {
    // A path that is not UTF-8 names nothing that there is.
    let Ok(named) = RawPathParams::from_request_parts(parts, &()).await else { return BTreeMap::new() };
    let named = named.iter().filter(|(name, _)| *name != "tenant");
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The fallback for unknown paths.
pub(super) async fn unknown_route() -> Problem {
    Problem::new(Code::UnknownRoute, "see api-thin/README.md for the routes")
}

/// Replaces the body of every other error answer by a problem. Headers such as `Allow` stay.
pub(super) async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    let problem = HeaderValue::from_static(Problem::MEDIA_TYPE);
    if !refused || response.headers().get(header::CONTENT_TYPE) == Some(&problem) {
        return response;
    }
    let (code, detail) = meaning(response.status());
    let mut replaced = Problem::new(code, detail).into_response();
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            replaced.headers_mut().append(name, value.clone());
        }
    }
    replaced
}

fn meaning(status: StatusCode) -> (Code, &'static str) {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            (Code::MethodNotAllowed, "the header Allow names the methods it knows")
        }
        StatusCode::NOT_FOUND => (Code::NotFound, "it does not exist, or these credentials do not reach it"),
        StatusCode::PAYLOAD_TOO_LARGE => (Code::RequestTooLarge, "the body is larger than this route takes"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (Code::UnsupportedContentType, "send another Content-Type"),
        status if status.is_client_error() => (Code::MalformedRequest, "the request cannot be read"),
        _ => (Code::Internal, "the fault was logged; name the X-Request-Id when you report it"),
    }
}

/// Answers for a handler that panicked. The panic message goes to the log through the panic hook, never to the caller.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(Code::Internal, "the fault was logged; name the X-Request-Id when you report it")
        .into_response()
}

/// A remaining body up to this size is read, if it arrives soon, so that the connection can be reused.
const LITTLE: usize = 64 << 10;
const SOON: Duration = Duration::from_millis(250);

/// For answers given before the body was read: a short rest of the body is read, otherwise the answer says
/// `Connection: close`. Without that the client would send its next request into a connection that is being closed.
pub(super) async fn leave_nothing_unread(request: Request, next: Next) -> Response {
    // Streams of HTTP/2 end one by one.
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let open = request.extensions().get::<Arc<OpenRequest>>().cloned();
    let rest = Rest::default();
    let request = request.map(|body| Body::new(Lent { body: Some(body), rest: rest.clone() }));
    let mut response = next.run(request).await;
    let is_read = match rest.take() {
        None => true,
        Some(body) if body.is_end_stream() => true,
        // Reading would tell the client to send what was refused.
        Some(_) if waits_for_leave => false,
        Some(body) => is_soon_read(body).await,
    };
    if !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(open) = open {
            open.leave_unread();
        }
    }
    response
}

async fn is_soon_read(body: Body) -> bool {
    if body.size_hint().lower() > LITTLE as u64 {
        return false;
    }
    let read = tokio::time::timeout(SOON, read_little(body.into_data_stream())).await;
    read.unwrap_or_default()
}

/// Whether the end came.
async fn read_little(mut body: BodyDataStream) -> bool {
    let mut left = LITTLE;
    loop {
        match body.try_next().await {
            Ok(None) => return true,
            Ok(Some(piece)) if piece.len() <= left => left -= piece.len(),
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}

/// The slot into which a body is put back when its reader is dropped.
#[derive(Clone, Default)]
struct Rest(Arc<Mutex<Option<Body>>>);

impl Rest {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that comes back when it is dropped.
struct Lent {
    body: Option<Body>,
    rest: Rest,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.rest.0.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn explode() {
        panic!("secret");
    }

    #[tokio::test]
    async fn a_panic_answers_500_and_tells_nothing() {
        let routes: Router = Router::new()
            .route("/", get(explode))
            .layer(from_fn(as_problem))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(observe));
        let response = routes.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"internal\"") && !text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn a_refusal_of_the_framework_becomes_a_problem_and_keeps_its_headers() {
        let routes: Router = Router::new().route("/", get(|| async {})).layer(from_fn(as_problem));
        let response = routes.oneshot(Request::post("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "method_not_allowed");
    }

    #[test]
    fn a_callers_id_is_kept_only_if_it_is_sane() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, value.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(id("order_1.a-B"), "order_1.a-B");
        for bad in ["", "a b", "a\"b", &"a".repeat(129)] {
            assert_ne!(id(bad), bad);
            assert!(id(bad).parse::<Uuid>().is_ok());
        }
    }
}
