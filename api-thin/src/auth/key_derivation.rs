//! Secrets and sealed texts that are derived from one secret of the installation. What they are for, this module does
//! not know: each purpose brings a label of its own, and different labels never give the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Of the tag that a sealed text begins with.
const TAG_BYTES: usize = 16;
/// Bytes of key stream from one HMAC.
const BLOCK_BYTES: usize = 32;

/// A secret of an installation that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at least {} bytes, found {found_bytes}", ShortSecret::MIN_BYTES)]
pub struct ShortSecret {
    /// How long it is.
    pub found_bytes: usize,
}

impl ShortSecret {
    /// The least that counts as a secret: the output size of HMAC-SHA-256.
    pub const MIN_BYTES: usize = 32;

    pub(super) fn check(secret: &SecretString) -> Result<&[u8], Self> {
        let bytes = secret.expose_secret().as_bytes();
        if bytes.len() >= Self::MIN_BYTES { Ok(bytes) } else { Err(Self { found_bytes: bytes.len() }) }
    }
}

/// Derives secrets from one secret of the installation, so that an answer which holds one can be given again without
/// storing it, and hides texts that clients carry for us.
#[derive(Clone)]
pub struct KeyDerivation {
    key: SecretString,
}

impl KeyDerivation {
    /// On the installation's secret (`TENANTRY_KEY_SECRET`).
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: SecretString) -> Result<Self, ShortSecret> {
        ShortSecret::check(&secret)?;
        Ok(Self { key: secret })
    }

    /// 64 hexadecimal digits, the same each time for the same label and parts.
    pub(crate) fn derive(&self, label: &str, parts: &[&str]) -> String {
        let labelled: Vec<_> =
            std::iter::once(label).chain(parts.iter().copied()).map(str::as_bytes).collect();
        hex::encode(self.mac(&labelled))
    }

    /// Hides `text` from the client that carries it and will send it back: base64url. The same text for the same
    /// purpose is sealed alike. The tag is an HMAC of the text and decides what the text is hidden under, so no two
    /// texts are hidden under the same bytes (RFC 5297 does the same with a block cipher).
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> String {
        let tag = self.tag(purpose, text.as_bytes());
        let hidden = self.hide(purpose, &tag, text.as_bytes());
        URL_SAFE_NO_PAD.encode([&tag[..], &hidden].concat())
    }

    /// Opens a text sealed for `purpose`; `None` when it was sealed for another one, or was changed.
    pub(crate) fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (tag, hidden) = bytes.split_first_chunk::<TAG_BYTES>()?;
        let text = self.hide(purpose, tag, hidden);
        let differences =
            self.tag(purpose, &text).iter().zip(tag).fold(0, |all, (one, other)| all | (one ^ other));
        if differences == 0 { String::from_utf8(text).ok() } else { None }
    }

    fn tag(&self, purpose: &str, text: &[u8]) -> [u8; TAG_BYTES] {
        let mac = self.mac(&[b"sealed", purpose.as_bytes(), text]);
        std::array::from_fn(|at| mac[at])
    }

    /// Hides bytes, or shows them again.
    fn hide(&self, purpose: &str, tag: &[u8; TAG_BYTES], bytes: &[u8]) -> Vec<u8> {
        let block = |(number, block): (usize, &[u8])| {
            let pad = self.mac(&[b"hidden", purpose.as_bytes(), tag, &number.to_be_bytes()]);
            block.iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect::<Vec<u8>>()
        };
        bytes.chunks(BLOCK_BYTES).enumerate().flat_map(block).collect()
    }

    /// HMAC-SHA-256. Each part goes in with its length, so that no two lists of parts are alike.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for KeyDerivation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDerivation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_derives_nothing() {
        assert_eq!(KeyDerivation::new("short".into()).unwrap_err(), ShortSecret { found_bytes: 5 });
    }

    #[test]
    fn what_was_sealed_is_read_again_for_the_same_purpose_only() {
        let keys = KeyDerivation::new("0123456789abcdef0123456789abcdef".into()).unwrap();
        for text in ["", "a", &"0190a1b2-c3d4-7000-8000-000000000000 ".repeat(5)] {
            let sealed = keys.seal("jobs of acme", text);
            assert_eq!(keys.unseal("jobs of acme", &sealed).as_deref(), Some(text));
            assert_eq!(keys.unseal("jobs of acme-2", &sealed), None);
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            assert!(text.len() < 4 || !bytes.windows(4).any(|part| part == &text.as_bytes()[..4]));
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(keys.unseal("jobs of acme", &URL_SAFE_NO_PAD.encode(&bytes)), None, "{at}");
                bytes[at] ^= 1;
            }
        }
        for bad in ["", "x", "10", "é", &"A".repeat(21)] {
            assert_eq!(keys.unseal("jobs of acme", bad), None, "{bad}");
        }
    }
}
