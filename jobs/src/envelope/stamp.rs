//! The signed part of the envelope, and the keys that sign it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::verifier::Refusal;
use crate::id::JobId;
use crate::seal::Seal;
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

/// Verifies signature and digest: the stamp was made with one of our keys, for exactly these bytes.
///
/// There is no algorithm negotiation: the header must be exactly the one that our key writes. A stamp has no expiry of
/// its own, because a job may wait for days; raising the tenant's epoch invalidates it.
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

/// One or two signing keys: the first signs, both verify. Rotate by putting a new key first.
///
/// Written `kid:secret` or `kid:secret,kid:secret`, each secret being at least 32 bytes in unpadded
/// base64url.
#[derive(Clone)]
pub struct StampKeys {
    keys: Vec<StampKey>,
}

#[derive(Clone)]
pub(super) struct StampKey {
    pub(super) kid: String,
    /// The first part of every stamp by this key: `{"alg":"HS256","kid":"..."}` in base64url.
    pub(super) header: String,
    /// Has taken in the secret, which is half of the work on a stamp.
    mac: Hmac<Sha256>,
}

impl StampKey {
    /// Seals under this key. What is sealed begins with a length, and a stamp never does: neither code is one of the
    /// other kind.
    fn seal(&self) -> Seal {
        Seal::keyed(self.mac.clone())
    }

    /// The code over `text` under this key, ready to be read or compared.
    pub(super) fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        mac
    }
}

/// Keys that cannot be used. The text never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Neither one nor two.
    #[error("expected one or two keys written as kid:secret, separated by a comma, found {0}")]
    Count(usize),
    /// The part before the colon.
    #[error("key {0} has no id: write it as kid:secret, the id being 1 to 32 letters, digits, - or _")]
    Id(usize),
    /// The part after the colon.
    #[error(
        "the secret of key {0} is not at least 32 bytes of unpadded base64url (make one with `tenantry keygen`)"
    )]
    Secret(usize),
    /// Twice the same id.
    #[error("two keys have the same id: give each an id of its own")]
    SameId,
}

impl StampKeys {
    /// The setting that holds them.
    pub const SETTING: &'static str = "TENANTRY_STAMP_KEYS";

    /// Reads `kid:secret[,kid:secret]`.
    ///
    /// # Errors
    /// When there is no key, more than two, a malformed one or a short secret.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKeys> {
        let parts: Vec<&str> =
            text.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if !(1..=2).contains(&parts.len()) {
            return Err(InvalidKeys::Count(parts.len()));
        }
        let keys = parts
            .iter()
            .zip(1..)
            .map(|(part, number)| parse_key(part, number))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.len() == 2 && keys[0].kid == keys[1].kid {
            return Err(InvalidKeys::SameId);
        }
        Ok(Self { keys })
    }

    /// A new key in the form that [`StampKeys::parse`] reads.
    #[must_use]
    pub fn generate(kid: &str) -> SecretString {
        let secret: [u8; 32] = rand::random();
        format!("{kid}:{}", URL_SAFE_NO_PAD.encode(secret)).into()
    }

    pub(super) fn signing(&self) -> &StampKey {
        &self.keys[0]
    }

    /// The key whose stamps begin with `header`, if there is one.
    pub(super) fn find(&self, header: &str) -> Option<&StampKey> {
        self.keys.iter().find(|key| key.header == header)
    }

    /// Hides `text` under the key that signs now, whose id stands before it.
    pub(super) fn seal(&self, purpose: &str, text: &str) -> String {
        let key = self.signing();
        format!("{}.{}", key.kid, key.seal().seal(purpose, text))
    }

    /// Opens what was hidden for `purpose` under one of these keys.
    pub(super) fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
        let (kid, sealed) = sealed.split_once('.')?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        key.seal().unseal(purpose, sealed)
    }

    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }
}

fn parse_key(part: &str, number: usize) -> Result<StampKey, InvalidKeys> {
    let named = |kid: &&str| {
        (1..=32).contains(&kid.len())
            && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let (kid, secret) = part.split_once(':').filter(|(kid, _)| named(kid)).ok_or(InvalidKeys::Id(number))?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok().filter(|bytes| bytes.len() >= 32);
    let secret = secret.ok_or(InvalidKeys::Secret(number))?;
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
    let mac = Hmac::new_from_slice(&secret).expect("HMAC takes a secret of any length");
    Ok(StampKey { kid: kid.to_owned(), header, mac })
}

impl std::fmt::Debug for StampKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_and_never_printed() {
        let text = StampKeys::generate("k1");
        let keys = StampKeys::parse(&text).unwrap();
        let secret = text.expose_secret().split_once(':').unwrap().1;
        assert_eq!(format!("{keys:?}"), "[\"k1\"]");
        assert!(!format!("{keys:?}").contains(secret));
    }

    #[test]
    fn what_was_sealed_before_a_rotation_is_opened_while_the_key_is_there() {
        let (old, new) = (StampKeys::generate("k1"), StampKeys::generate("k2"));
        let (old, new) = (old.expose_secret(), new.expose_secret());
        let parse = |text: &str| StampKeys::parse(&text.to_owned().into()).unwrap();
        let sealed = parse(old).seal("secret of acme", "whsec_x");
        assert!(sealed.starts_with("k1.") && !sealed.contains("whsec"), "{sealed}");
        let both = parse(&format!("{new},{old}"));
        assert_eq!(both.unseal("secret of acme", &sealed).as_deref(), Some("whsec_x"));
        assert_eq!(both.unseal("secret of acme-2", &sealed), None);
        assert_eq!(parse(new).unseal("secret of acme", &sealed), None);
    }

    #[test]
    fn bad_keys_are_named_by_number() {
        let good = StampKeys::generate("k1").expose_secret().to_owned();
        let parse = |text: String| StampKeys::parse(&text.into()).unwrap_err();
        assert_eq!(parse(String::new()), InvalidKeys::Count(0));
        assert_eq!(parse("k:short".into()), InvalidKeys::Secret(1));
        assert_eq!(parse(format!("{good},nokey")), InvalidKeys::Id(2));
        assert_eq!(parse(format!("{good},{good}")), InvalidKeys::SameId);
    }
}
