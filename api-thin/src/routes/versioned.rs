use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer that shows a thing, with the thing's revision as its `ETag`.
pub(crate) struct Versioned<T> {
    pub(super) revision: u64,
    pub(super) body: T,
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.revision));
        response.headers_mut().insert(header::ETAG, tag.expect("digits in quotes are a header's value"));
        response
    }
}

/// The answer to a request that made a thing.
pub(crate) struct Created<T> {
    /// Where it is shown.
    pub(super) location: String,
    pub(super) thing: Versioned<T>,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], self.thing).into_response()
    }
}

/// An answer that holds a secret: nobody on the way may keep it.
pub(crate) struct Secret<A>(pub(super) A);

impl<A: IntoResponse> IntoResponse for Secret<A> {
    fn into_response(self) -> Response {
        ([(header::PRAGMA, HeaderValue::from_static("no-cache"))], self.0).into_response()
    }
}
