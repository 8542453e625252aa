use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::state::ApiState;
use crate::problem::{Code, Problem};

/// Makes a request with a body wait until the body fits into memory beside the others.
pub(super) async fn upload_gate(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS) {
        return next.run(request).await;
    }
    let length = content_length(request.headers());
    if length
        .is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > app.limits().request_bytes))
    {
        let detail = format!("a request has at most {} bytes", app.limits().request_bytes);
        return Problem::new(Code::RequestTooLarge, detail).into_response();
    }
    match app.budget().reserve(length).await {
        Some(_room) => next.run(request).await,
        None => Problem::new(Code::Busy, "too many uploads at once").retry_after_s(1).into_response(),
    }
}

/// The announced length; 0 when there is no body, `None` when it is sent in pieces of unknown number.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    match headers.get(header::CONTENT_LENGTH) {
        Some(value) => value.to_str().ok()?.parse().ok(),
        None if headers.contains_key(header::TRANSFER_ENCODING) => None,
        None => Some(0),
    }
}
