//! What this is, for people and programs, and the pages that describe the API. Browsers go on to the dashboard.

use std::sync::LazyLock;

use aide::swagger::Swagger;
use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::openapi::document;

/// What this is, and where to go on.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Home {
    /// `Tenantry`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// A page to read and to try requests on.
    docs: &'static str,
    /// Pages to see and steer what happens.
    dashboard: &'static str,
    /// The same as a document for programs.
    openapi: &'static str,
    /// Path of the readiness check.
    ready: &'static str,
    /// The path below which everything else is.
    api: &'static str,
    /// What to do first.
    start: &'static str,
}

const HOME: Home = Home {
    name: "Tenantry",
    version: env!("CARGO_PKG_VERSION"),
    docs: "/docs",
    dashboard: "/overview",
    openapi: "/openapi.json",
    ready: "/readyz",
    api: "/api/v1",
    start: "make a tenant with the operator's key: POST /api/v1/tenants; README.md and api-thin/README.md have examples",
};

/// `GET /`: the dashboard for browsers, JSON where `Accept` names it, and text for everything else.
pub(super) async fn show(headers: HeaderMap) -> Welcome {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match accept {
        browser if browser.contains("text/html") => Welcome::Page,
        program if program.contains("json") => Welcome::Json,
        _ => Welcome::Text,
    }
}

/// The format that the client prefers.
pub(crate) enum Welcome {
    Page,
    Json,
    Text,
}

impl IntoResponse for Welcome {
    fn into_response(self) -> Response {
        match self {
            Self::Page => Redirect::to(HOME.dashboard).into_response(),
            Self::Json => Json(HOME).into_response(),
            Self::Text => welcome_text().into_response(),
        }
    }
}

fn welcome_text() -> String {
    let Home { name, version, docs, dashboard, openapi, ready, api, start } = HOME;
    format!(
        "{name} {version}: background jobs for multi-tenant products\n\n\
         {dashboard}      pages to see and steer what happens\n\
         {docs}          the API as a page to read and to try\n\
         {openapi}  the same as OpenAPI 3.1\n\
         {ready}        whether it can take requests\n\
         {api}        everything else\n\n\
         To begin, {start}.\n"
    )
}

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).expect("texts and numbers are always JSON").into());

/// It brings its scripts and styles along, and loads nothing from elsewhere.
static DOCS: LazyLock<Bytes> =
    LazyLock::new(|| Swagger::new("openapi.json").with_title("Tenantry API").html().into());

const DOCS_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
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
        ([(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(DOCS.clone())).into_response()
    }
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Document {
    Document
}

/// `GET /docs`
pub(super) async fn docs() -> Page {
    Page
}
