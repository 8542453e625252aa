use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// An answer that shows a thing, with the thing's revision as its `ETag`.
pub(super) struct Versioned {
    pub(super) revision: u64,
    pub(super) body: Value,
}

impl IntoResponse for Versioned {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.revision));
        response.headers_mut().insert(header::ETAG, tag.expect("digits in quotes are a header's value"));
        response
    }
}
