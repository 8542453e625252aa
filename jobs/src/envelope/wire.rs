//! The bytes on Redis.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What lies on Redis: a job and the stamp over its exact bytes. It carries no authority; anybody who can
/// write to Redis can write one. [`super::Verifier::verify`] is the only way out of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireEnvelope {
    /// Compact JWS (RFC 7515) whose claims name the tenant and the digest of `job`.
    pub stamp: String,
    /// The [`super::Envelope`], byte for byte as it was signed.
    pub job: Box<RawValue>,
}
