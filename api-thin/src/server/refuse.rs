//! Makes every refusal a problem, also those that do not come from a handler.

use std::any::Any;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Code, Problem};

/// Where nothing is.
pub(super) async fn unknown_route() -> Problem {
    Problem::new(Code::UnknownRoute, "see api-thin/README.md for the routes")
}

/// Puts a problem in place of any other body of a refusal. Headers such as `Allow` stay.
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

/// A handler that panicked. What it said goes to the log through the panic hook, never to the caller.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(Code::Internal, "the fault was logged; name the X-Request-Id when you report it")
        .into_response()
}
