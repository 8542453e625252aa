//! Texts that clients carry for us and can neither read nor change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::api_key::KeyMint;

/// Of the tag that a sealed text begins with.
const TAG_BYTES: usize = 16;
/// What one HMAC hides.
const BLOCK_BYTES: usize = 32;

impl KeyMint {
    /// `text` for a client that may send it back but not read it: base64url. The same text for the same purpose is
    /// sealed alike. The tag is an HMAC of the text and decides what the text is hidden under, so no two texts are
    /// hidden under the same bytes (RFC 5297 does the same with a block cipher).
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> String {
        let tag = self.tag(purpose, text.as_bytes());
        let hidden = self.hide(purpose, &tag, text.as_bytes());
        URL_SAFE_NO_PAD.encode([&tag[..], &hidden].concat())
    }

    /// What was sealed for `purpose`; `None` when it was not, or was changed.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_again_for_the_same_purpose_only() {
        let mint = KeyMint::new("0123456789abcdef0123456789abcdef".into()).unwrap();
        for text in ["", "a", &"0190a1b2-c3d4-7000-8000-000000000000 ".repeat(5)] {
            let sealed = mint.seal("jobs of acme", text);
            assert_eq!(mint.unseal("jobs of acme", &sealed).as_deref(), Some(text));
            assert_eq!(mint.unseal("jobs of acme-2", &sealed), None);
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            assert!(text.len() < 4 || !bytes.windows(4).any(|part| part == &text.as_bytes()[..4]));
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(mint.unseal("jobs of acme", &URL_SAFE_NO_PAD.encode(&bytes)), None, "{at}");
                bytes[at] ^= 1;
            }
        }
        for bad in ["", "x", "10", "é", &"A".repeat(21)] {
            assert_eq!(mint.unseal("jobs of acme", bad), None, "{bad}");
        }
    }
}
