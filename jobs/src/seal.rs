//! Texts that are hidden from those who carry or store them for us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Of the tag that a sealed text begins with.
const TAG_BYTES: usize = 16;
/// Bytes of key stream from one HMAC.
const BLOCK_BYTES: usize = 32;

/// Seals and opens texts under one key. Each purpose brings a label of its own, and what was sealed for one purpose is
/// not opened for another.
#[derive(Clone)]
pub struct Seal {
    /// Has taken in the key.
    keyed: Hmac<Sha256>,
}

impl Seal {
    /// Under `key`, which must be a secret of at least 32 bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { keyed: Hmac::new_from_slice(key).expect("HMAC takes a key of any length") }
    }

    pub(crate) const fn keyed(keyed: Hmac<Sha256>) -> Self {
        Self { keyed }
    }

    /// Hides `text`: base64url. The same text for the same purpose is sealed alike. The tag is an HMAC of the text and
    /// decides what the text is hidden under, so no two texts are hidden under the same bytes (RFC 5297 does the same
    /// with a block cipher).
    #[must_use]
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        let tag = self.tag(purpose, text.as_bytes());
        let hidden = self.hide(purpose, &tag, text.as_bytes());
        URL_SAFE_NO_PAD.encode([&tag[..], &hidden].concat())
    }

    /// Opens a text sealed for `purpose`; `None` when it was sealed for another one, under another key, or was changed.
    #[must_use]
    pub fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
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
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_again_for_the_same_purpose_only() {
        let (seal, other) = (Seal::new(b"0123456789abcdef0123456789abcdef"), Seal::new(b"another"));
        for text in ["", "a", &"0190a1b2-c3d4-7000-8000-000000000000 ".repeat(5)] {
            let sealed = seal.seal("jobs of acme", text);
            assert_eq!(seal.unseal("jobs of acme", &sealed).as_deref(), Some(text));
            assert_eq!(seal.unseal("jobs of acme-2", &sealed), None);
            assert_eq!(other.unseal("jobs of acme", &sealed), None);
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            assert!(text.len() < 4 || !bytes.windows(4).any(|part| part == &text.as_bytes()[..4]));
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(seal.unseal("jobs of acme", &URL_SAFE_NO_PAD.encode(&bytes)), None, "{at}");
                bytes[at] ^= 1;
            }
        }
        for bad in ["", "x", "10", "é", &"A".repeat(21)] {
            assert_eq!(seal.unseal("jobs of acme", bad), None, "{bad}");
        }
    }
}
