//! Comparing secrets without telling how much of a guess was right.

use hmac::digest::CtOutput;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

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

/// SHA-256 of a secret. Comparing takes the same time for all values, so that timing reveals nothing.
#[derive(Clone)]
pub struct SecretHash(CtOutput<Sha256>);

impl SecretHash {
    /// The hash of `secret`.
    #[must_use]
    pub fn of(secret: &SecretString) -> Self {
        Self(CtOutput::new(Sha256::digest(secret.expose_secret().as_bytes())))
    }

    /// Reads a hash from hexadecimal.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(CtOutput::new(bytes.into())))
    }

    /// The hash in hexadecimal, as it is stored.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0.clone().into_bytes())
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_hexadecimal_and_equals_only_itself() {
        let hash = SecretHash::of(&"secret".into());
        assert_eq!(SecretHash::from_hex(&hash.to_hex()), Some(hash.clone()));
        assert_ne!(hash, SecretHash::of(&"Secret".into()));
        assert_eq!(SecretHash::from_hex("00"), None);
    }
}
