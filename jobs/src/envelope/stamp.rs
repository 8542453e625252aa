//! The signed part of the envelope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::keys::StampKeys;
use super::verifier::Refusal;
use crate::id::JobId;
use crate::tenant::{Actor, KbId, Role, TenantId};

/// Of SHA-256 and of HMAC-SHA256.
const HASH_BYTES: usize = 32;
/// Of so many bytes in base64url.
const HASH_CHARS: usize = 43;

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

fn hash(text: &str) -> Option<[u8; HASH_BYTES]> {
    let mut bytes = [0; HASH_BYTES];
    let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
    (decoded == Ok(HASH_BYTES)).then_some(bytes)
}

pub(super) fn digest_is(job: &str, claimed: &str) -> bool {
    hash(claimed).is_some_and(|claimed| claimed == *Sha256::digest(job.as_bytes()))
}

/// Signs the claims: compact JWS (RFC 7515) with HMAC-SHA256.
pub(super) fn sign(keys: &StampKeys, claims: &Claims) -> Result<String, serde_json::Error> {
    let key = keys.signing();
    let claims = serde_json::to_vec(claims)?;
    let mut stamp = String::with_capacity(key.header.len() + claims.len() * 4 / 3 + HASH_CHARS + 6);
    stamp.push_str(&key.header);
    stamp.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut stamp);
    let signature = key.mac(&stamp).finalize().into_bytes();
    stamp.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut stamp);
    Ok(stamp)
}

/// Checks signature and digest: the stamp was made by us, for exactly these bytes.
///
/// There is nothing to negotiate: the header must be the very one that our key writes. A stamp has no expiry of
/// its own: a job may wait for days. What ends it is the tenant's epoch.
pub(super) fn open(keys: &StampKeys, stamp: &str, job: &str) -> Result<Claims, Refusal> {
    let (signed, signature) = stamp.rsplit_once('.').ok_or(Refusal::BadSignature)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::BadSignature)?;
    let key = keys.find(header).ok_or_else(|| not_found(keys, header))?;
    let signature = hash(signature).ok_or(Refusal::BadSignature)?;
    key.mac(signed).verify_slice(&signature).map_err(|_| Refusal::BadSignature)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Refusal::BadSignature)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refusal::BadSignature)?;
    if digest_is(job, &claims.dig) { Ok(claims) } else { Err(Refusal::Altered) }
}

/// Why no key has written this header: it names none of ours, or it is none at all.
fn not_found(keys: &StampKeys, header: &str) -> Refusal {
    #[derive(Deserialize)]
    struct Header {
        kid: Option<String>,
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    match header.and_then(|header| serde_json::from_slice::<Header>(&header).ok()) {
        Some(Header { kid: Some(kid) }) if keys.knows(&kid) => Refusal::BadSignature,
        Some(_) => Refusal::UnknownKey,
        None => Refusal::BadSignature,
    }
}
