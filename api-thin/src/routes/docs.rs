use std::sync::LazyLock;

use aide::swagger::Swagger;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;

use crate::openapi::document;

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).expect("texts and numbers are always JSON").into());

/// It brings its scripts and styles along, and asks nobody else for anything.
static PAGE: LazyLock<Bytes> =
    LazyLock::new(|| Swagger::new("openapi.json").with_title("Tenantry API").html().into());

const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// The description of the API.
pub(crate) struct Document;

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
    }
}

/// The description of the API as a page.
pub(crate) struct Page;

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE.clone())).into_response()
    }
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Document {
    Document
}

/// `GET /docs`
pub(super) async fn page() -> Page {
    Page
}
