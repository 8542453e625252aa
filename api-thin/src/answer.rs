//! The shapes of answers: accepted (202), a thing with its revision, a thing that was made, and a secret.

use std::marker::PhantomData;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::tenant::{KbId, TenantId};
use jobs::{BatchId, JobId};
use serde::Serialize;
use serde_json::Value;
use stores::model::Replay;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer to an accepted request: a `T`, with the status 202 unless it is another. It is held as it was or will
/// be written down. It says where to look (`location`), so that the header can be made again from a body that was
/// kept.
#[derive(Debug)]
pub struct Answer<T, const STATUS: u16 = 202> {
    pub(crate) status: StatusCode,
    /// Without secrets unless they were just put in.
    pub(crate) body: Value,
    /// Whether the request had been accepted before.
    pub(crate) replayed: bool,
    shape: PhantomData<fn() -> T>,
}

impl<T: Serialize, const STATUS: u16> Answer<T, STATUS> {
    /// The answer to a request that was accepted just now.
    ///
    /// # Panics
    /// Never: what we answer has texts for keys, and each of its values can be written.
    #[must_use]
    pub fn new(body: T) -> Self {
        let status = StatusCode::from_u16(STATUS).unwrap_or(StatusCode::ACCEPTED);
        let body = serde_json::to_value(body).expect("structs of texts and numbers are always JSON");
        Self { status, body, replayed: false, shape: PhantomData }
    }
}

impl<T, const STATUS: u16> Answer<T, STATUS> {
    /// The stored answer to an earlier request with the same key.
    #[must_use]
    pub fn again(earlier: Replay) -> Self {
        let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::ACCEPTED);
        Self { status, body: earlier.body, replayed: true, shape: PhantomData }
    }
}

impl<T, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
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

/// URL of a tenant.
pub(crate) fn tenant_location(tenant: &TenantId) -> String {
    format!("/api/v1/tenants/{tenant}")
}

/// URL of a knowledge base.
pub(crate) fn kb_location(tenant: &TenantId, kb: &KbId) -> String {
    format!("/api/v1/tenants/{tenant}/kbs/{kb}")
}

/// URL of a job.
pub(crate) fn job_location(tenant: &TenantId, job: JobId) -> String {
    format!("/api/v1/tenants/{tenant}/jobs/{job}")
}

/// URL of a batch.
pub(crate) fn batch_location(tenant: &TenantId, batch: BatchId) -> String {
    format!("/api/v1/tenants/{tenant}/batches/{batch}")
}

/// An answer with a resource, whose revision is its `ETag`.
pub(crate) struct Versioned<T> {
    pub(crate) revision: u64,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.revision));
        response.headers_mut().insert(header::ETAG, tag.expect("digits in quotes are a header's value"));
        response
    }
}

/// The answer to a request that created a resource.
pub(crate) struct Created<T> {
    /// The `Location` header: the URL of the new resource.
    pub(crate) location: String,
    pub(crate) thing: Versioned<T>,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], self.thing).into_response()
    }
}

/// An answer that holds a secret: no cache on the way may keep it.
pub(crate) struct Secret<A>(pub(crate) A);

impl<A: IntoResponse> IntoResponse for Secret<A> {
    fn into_response(self) -> Response {
        ([(header::PRAGMA, HeaderValue::from_static("no-cache"))], self.0).into_response()
    }
}
