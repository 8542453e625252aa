//! Secrets and sealed texts that are derived from one secret of the installation. What they are for, this module does
//! not know: each purpose brings a label of its own, and different labels never give the same bytes.

use jobs::seal::Seal;
use secrecy::{ExposeSecret, SecretString};

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
#[derive(Debug, Clone)]
pub struct KeyDerivation {
    seal: Seal,
}

impl KeyDerivation {
    /// On the installation's secret (`TENANTRY_KEY_SECRET`).
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: &SecretString) -> Result<Self, ShortSecret> {
        ShortSecret::check(secret)?;
        Ok(Self { seal: Seal::new(secret.expose_secret().as_bytes()) })
    }

    /// 64 hexadecimal digits, the same each time for the same label and parts.
    pub(crate) fn derive(&self, label: &str, parts: &[&str]) -> String {
        let labelled: Vec<_> =
            std::iter::once(label).chain(parts.iter().copied()).map(str::as_bytes).collect();
        hex::encode(self.seal.mac(&labelled))
    }

    /// Hides `text` from the client that carries it and will send it back.
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> String {
        self.seal.seal(purpose, text)
    }

    /// Opens a text sealed for `purpose`; `None` when it was sealed for another one, or was changed.
    pub(crate) fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
        self.seal.unseal(purpose, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_derives_nothing() {
        assert_eq!(KeyDerivation::new(&"short".into()).unwrap_err(), ShortSecret { found_bytes: 5 });
    }

    #[test]
    fn what_clients_carry_is_theirs_alone() {
        let keys = KeyDerivation::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        let sealed = keys.seal("jobs of acme", "somewhere");
        assert_eq!(keys.unseal("jobs of acme", &sealed).as_deref(), Some("somewhere"));
        assert_eq!(keys.unseal("jobs of acme-2", &sealed), None);
        assert_ne!(keys.derive("a", &["b"]), keys.derive("ab", &[]));
    }
}
