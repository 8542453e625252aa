//! The keys that sign stamps.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

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
        "the secret of key {0} is not at least 32 bytes of unpadded base64url (make one with `worker keygen`)"
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

    /// The key whose stamps begin with `header`.
    pub(super) fn find(&self, header: &str) -> Option<&StampKey> {
        self.keys.iter().find(|key| key.header == header)
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
    fn bad_keys_are_named_by_number() {
        let good = StampKeys::generate("k1").expose_secret().to_owned();
        let parse = |text: String| StampKeys::parse(&text.into()).unwrap_err();
        assert_eq!(parse(String::new()), InvalidKeys::Count(0));
        assert_eq!(parse("k:short".into()), InvalidKeys::Secret(1));
        assert_eq!(parse(format!("{good},nokey")), InvalidKeys::Id(2));
        assert_eq!(parse(format!("{good},{good}")), InvalidKeys::SameId);
    }
}
