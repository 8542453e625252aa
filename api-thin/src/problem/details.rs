//! The body of an error answer, and which of our errors become which.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use jobs::envelope::StampError;
use jobs::error::report;
use jobs::plan::Quota;
use jobs::queue::{LimitReached, QueueError};
use jobs::tenant::{DirectoryError, Permission};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use stores::StoreError;
use stores::model::OverQuota;

use super::code::Code;

/// Values of callers that an answer repeats are cut after so many characters.
const SHOWN_CHARS: usize = 60;

/// A value of the caller's, short enough to be repeated.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// Why a request is refused. It says nothing that the caller may not know: no ids of others, no driver messages.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    field: Option<String>,
    permission: Option<Permission>,
    retry_after_s: Option<u32>,
    limit: Option<Limit>,
}

/// A limit that was reached.
#[derive(Debug, Serialize, JsonSchema)]
struct Limit {
    /// The name of the limit.
    #[serde(rename = "limit")]
    name: String,
    /// The current amount.
    current: u64,
    /// How much there may be.
    maximum: u64,
}

/// A problem with a request (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemBody<'a> {
    /// `urn:tenantry:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The same for all problems of the code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and how to fix it.
    detail: &'a str,
    /// Stable: for programs.
    #[schemars(schema_with = "codes")]
    code: &'static str,
    /// Which field, parameter or part of the request is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The permission that the credentials lack.
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<Permission>,
    /// The limit that is reached.
    #[serde(flatten)]
    limit: Option<&'a Limit>,
}

fn codes(_: &mut SchemaGenerator) -> Schema {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json_schema!({ "type": "string", "enum": codes })
}

impl Problem {
    /// The media type of a problem.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem with its cause and how to fix it.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None, permission: None, retry_after_s: None, limit: None }
    }

    /// The one answer for everything that is not there and for everything that belongs to another tenant.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "it does not exist, or these credentials do not reach it")
    }

    /// The credentials lack a permission.
    #[must_use]
    pub fn forbidden(permission: Permission) -> Self {
        let problem = Self::new(Code::Forbidden, format!("this needs the permission {permission}"));
        Self { permission: Some(permission), ..problem }
    }

    /// The tenant's queue limits allow no more jobs now.
    #[must_use]
    pub fn limit_reached(reached: &LimitReached) -> Self {
        let LimitReached { limit, current, maximum, retry_after, .. } = reached;
        let detail = if limit.ends_with("draining") {
            "nothing new is taken: resume the queue, or wait until it is resumed".to_owned()
        } else {
            format!(
                "{limit} is {current} of {maximum}: wait until jobs have ended, or ask the operator for more"
            )
        };
        let limit = Limit { name: limit.clone(), current: *current, maximum: *maximum };
        let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).max(1);
        let problem = Self::new(Code::LimitReached, detail).retry_after_s(seconds);
        Self { limit: Some(limit), ..problem }
    }

    /// A quota of the tenant is used up. Waiting helps where it is counted by the calendar.
    #[must_use]
    pub fn over_quota(over: &OverQuota, now: DateTime<Utc>) -> Self {
        let OverQuota { quota, current, maximum } = *over;
        let remedy = match quota.resets_at(now) {
            Some(at) => format!("wait until {}", at.format("%Y-%m-%dT%H:%MZ")),
            None if matches!(quota, Quota::RequestsPerMinute | Quota::ConcurrentQueries) => {
                format!("send fewer {}", quota.unit())
            }
            None if quota == Quota::IdempotencyKeys => {
                "send fewer requests with an Idempotency-Key a day".to_owned()
            }
            None => format!("delete some {}", quota.unit()),
        };
        let detail = format!("{quota} is {current} of {maximum}: {remedy}, or ask the operator for more");
        let limit = Limit { name: quota.to_string(), current, maximum };
        let retry_after_s = quota.resets_in_s(now);
        Self { limit: Some(limit), retry_after_s, ..Self::new(Code::of_quota(quota), detail) }
    }

    /// The field of the request that the problem is about.
    #[must_use]
    pub fn field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// When the same request may succeed.
    #[must_use]
    pub fn retry_after_s(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The problem and how to fix it, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The field of the request that is meant.
    #[must_use]
    pub fn field_name(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let body = ProblemBody {
            kind: format!("urn:tenantry:problem:{}", self.code),
            title: self.code.title(),
            status: self.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            field: self.field.as_deref(),
            permission: self.permission,
            limit: self.limit.as_ref(),
        };
        serde_json::to_vec(&body).expect("plain texts and numbers are always JSON")
    }

    fn challenge(&self) -> Option<&'static str> {
        match self.code {
            Code::CredentialsMissing => Some(r#"Bearer realm="tenantry""#),
            Code::CredentialsInvalid => Some(r#"Bearer realm="tenantry", error="invalid_token""#),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Self::MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

const RETRY_AFTER_S: u32 = 2;

impl Problem {
    /// A permanent error on our side. The cause is logged, not sent.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = report(error), "request failed");
        Self::new(Code::Internal, "the fault was logged; name the X-Request-Id when you report it")
    }

    /// A transient error on our side. The cause is logged, not sent.
    pub(crate) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = report(error), "request failed because a server is away");
        Self::new(Code::Unavailable, "try again in a moment").retry_after_s(RETRY_AFTER_S)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        if let QueueError::LimitReached(limits) = &error
            && let Some(limit) = limits.first()
        {
            return Self::limit_reached(limit);
        }
        if error.is_passing() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<StampError> for Problem {
    fn from(error: StampError) -> Self {
        match error {
            StampError::Forbidden(permission) => Self::forbidden(permission),
            other => Self::internal(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_credentials_says_how_to_bring_some() {
        let response = Problem::new(Code::CredentialsMissing, "none").into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], r#"Bearer realm="tenantry""#);
    }

    #[test]
    fn the_body_names_code_field_and_permission() {
        let body: serde_json::Value =
            serde_json::from_slice(&Problem::forbidden(Permission::DocumentCreate).field("x").body())
                .unwrap();
        assert_eq!(body["code"], "forbidden");
        assert_eq!(body["status"], 403);
        assert_eq!(body["field"], "x");
        assert_eq!(body["permission"], "document:create");
        assert_eq!(body["type"], "urn:tenantry:problem:forbidden");
    }
}
