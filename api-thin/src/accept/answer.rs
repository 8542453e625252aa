use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::JobId;
use jobs::tenant::{KbId, TenantId};
use serde_json::Value;
use stores::model::Replay;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer to an accepted request. Its body says where to look (`location`), so that the header can be
/// made again from a body that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status: 202, or 201.
    pub status: StatusCode,
    /// The body, without secrets unless they were just put in.
    pub body: Value,
    /// Whether the request had been accepted before.
    pub replayed: bool,
}

impl Answer {
    /// The answer to a request that was accepted just now.
    #[must_use]
    pub fn accepted(body: Value) -> Self {
        Self { status: StatusCode::ACCEPTED, body, replayed: false }
    }

    /// The answer to a request whose thing is there.
    #[must_use]
    pub fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body, replayed: false }
    }

    /// The answer that was given before.
    #[must_use]
    pub fn again(earlier: Replay) -> Self {
        let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::ACCEPTED);
        Self { status, body: earlier.body, replayed: true }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let location = self.body["location"].as_str().and_then(|path| HeaderValue::from_str(path).ok());
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Where a tenant is shown.
pub(super) fn tenant_location(tenant: &TenantId) -> String {
    format!("/api/v1/tenants/{tenant}")
}

/// Where a knowledge base is shown.
pub(super) fn kb_location(tenant: &TenantId, kb: &KbId) -> String {
    format!("/api/v1/tenants/{tenant}/kbs/{kb}")
}

/// Where a job is shown.
pub(crate) fn job_location(tenant: &TenantId, job: JobId) -> String {
    format!("/api/v1/tenants/{tenant}/jobs/{job}")
}
