//! The signed part of the envelope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::keys::StampKeys;
use super::verifier::Refusal;
use crate::id::JobId;
use crate::tenant::{Actor, KbId, Role, TenantId};

/// The claims of a stamp. Names are those of RFC 7519 where it has one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// The job's id.
    pub(super) jti: JobId,
    /// The job's type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// SHA-256 of the envelope's bytes, base64url. It covers every field, so that neither priority nor retry
    /// policy nor group can be changed, not just the arguments.
    pub(super) dig: String,
    pub(super) tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kb: Option<KbId>,
    pub(super) actor: Actor,
    pub(super) role: Role,
    pub(super) epoch: u64,
    pub(super) iat: i64,
}

pub(super) fn digest(job: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(job.as_bytes()))
}

pub(super) fn sign(keys: &StampKeys, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
    let key = keys.signing();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = None;
    header.kid = Some(key.kid.clone());
    jsonwebtoken::encode(&header, claims, &key.encoding)
}

/// Checks signature and digest: the stamp was made by us, for exactly these bytes.
pub(super) fn open(keys: &StampKeys, stamp: &str, job: &str) -> Result<Claims, Refusal> {
    let header = jsonwebtoken::decode_header(stamp).map_err(|_| Refusal::BadSignature)?;
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Refusal::UnknownKey)?;
    let mut validation = Validation::new(Algorithm::HS256);
    // A stamp has no expiry of its own: a job may wait for days. What ends it is the tenant's epoch.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(stamp, &key.decoding, &validation);
    let claims = claims.map_err(|_| Refusal::BadSignature)?.claims;
    if claims.dig == digest(job) { Ok(claims) } else { Err(Refusal::Altered) }
}
