use std::str::FromStr;

use hmac::{Hmac, Mac};
use jobs::tenant::{ApiKeyId, TenantId};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::secret::{SecretHash, ShortSecret};
use crate::accounts::RefreshToken;

/// An API key: `tk_{tenant}_{key id}_{secret}`. Neither a tenant nor a key id contains `_`.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Whose key it claims to be.
    pub tenant: TenantId,
    /// The part that finds its row.
    pub id: ApiKeyId,
    secret: SecretString,
}

/// A text that is not an API key. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: expected tk_<tenant>_<key id>_<secret>")]
pub struct InvalidApiKey;

impl ApiKey {
    /// What every API key begins with.
    pub const PREFIX: &'static str = "tk_";

    /// A key that nobody had before.
    #[must_use]
    pub fn fresh(tenant: &TenantId) -> Self {
        let id = hex::encode(rand::random::<[u8; 8]>());
        Self::with_fresh_secret(tenant, id.parse().expect("hexadecimal digits are an API key id"))
    }

    /// The key called `id` with a secret that nobody had before.
    #[must_use]
    pub fn with_fresh_secret(tenant: &TenantId, id: ApiKeyId) -> Self {
        let secret = hex::encode(rand::random::<[u8; 32]>());
        Self { tenant: tenant.clone(), id, secret: secret.into() }
    }

    /// SHA-256 of the secret part.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The whole key, to be shown once to whoever will use it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}{}_{}_{}", Self::PREFIX, self.tenant, self.id, self.secret.expose_secret())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let mut parts = text.strip_prefix(Self::PREFIX).ok_or(InvalidApiKey)?.splitn(3, '_');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or(InvalidApiKey);
        let tenant = next()?.parse().map_err(|_| InvalidApiKey)?;
        let id = next()?.parse().map_err(|_| InvalidApiKey)?;
        Ok(Self { tenant, id, secret: next()?.into() })
    }
}

/// Derives secrets from one secret of the installation, so that an answer can be given again without storing
/// it.
#[derive(Clone)]
pub struct KeyMint {
    key: SecretString,
}

impl KeyMint {
    /// A mint on the installation's secret (`TENANTRY_KEY_SECRET`).
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: SecretString) -> Result<Self, ShortSecret> {
        ShortSecret::check(&secret)?;
        Ok(Self { key: secret })
    }

    /// The API key of `tenant` with the id `id`: always the same.
    #[must_use]
    pub fn api_key(&self, tenant: &TenantId, id: &ApiKeyId) -> ApiKey {
        let secret = self.derive(&["api key", tenant.as_str(), id.as_str()]);
        ApiKey { tenant: tenant.clone(), id: id.clone(), secret: secret.into() }
    }

    /// The id of the tenant that a request without one makes under an idempotency key: always the same.
    #[must_use]
    pub fn tenant_id(&self, idempotency_key: &str) -> TenantId {
        let digits = &self.derive(&["tenant id", idempotency_key])[..20];
        format!("t-{digits}").parse().expect("a letter, a dash and hexadecimal digits are a label")
    }

    /// The secret part of a refresh token: always the same.
    pub(crate) fn refresh_secret(&self, token: &RefreshToken) -> String {
        self.derive(&["refresh token", &token.session.to_string(), &token.generation.to_string()])
    }

    fn derive(&self, parts: &[&str]) -> String {
        hex::encode(self.mac(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>()))
    }

    /// HMAC-SHA-256. Each part goes in with its length, so that no two lists of parts are alike.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for KeyMint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyMint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint() -> KeyMint {
        KeyMint::new("0123456789abcdef0123456789abcdef".into()).unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_shown() {
        let key = mint().api_key(&"acme-2".parse().unwrap(), &"abcd1234".parse().unwrap());
        let read: ApiKey = key.reveal().parse().unwrap();
        assert_eq!(read.tenant.as_str(), "acme-2");
        assert_eq!(read.id.as_str(), "abcd1234");
        assert_eq!(read.secret_hash(), key.secret_hash());
        assert!(!format!("{read:?}").contains(read.secret.expose_secret()));
    }

    #[test]
    fn fresh_keys_are_read_as_they_were_shown_and_differ() {
        let tenant = "acme".parse().unwrap();
        let key = ApiKey::fresh(&tenant);
        let read: ApiKey = key.reveal().parse().unwrap();
        assert_eq!((&read.id, read.secret_hash()), (&key.id, key.secret_hash()));
        assert_ne!(ApiKey::fresh(&tenant).id, key.id);
        let again = ApiKey::with_fresh_secret(&tenant, key.id.clone());
        assert_ne!(again.secret_hash(), key.secret_hash());
    }

    #[test]
    fn malformed_keys_are_refused() {
        for bad in [
            "",
            "tk_",
            "tk_acme",
            "tk_acme_abcd1234",
            "tk_acme_abcd1234_",
            "tk__abcd1234_x",
            "tk_ACME_abcd1234_x",
            "tk_acme_short_x",
            "sk_acme_abcd1234_x",
        ] {
            assert!(bad.parse::<ApiKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_secrets_repeat_and_differ_by_tenant_key_and_installation() {
        let (acme, other) = ("acme".parse().unwrap(), "acme2".parse().unwrap());
        let (first, second) = ("abcd1234".parse().unwrap(), "2abcd1234".parse().unwrap());
        let hash = |mint: &KeyMint, tenant, id| mint.api_key(tenant, id).secret_hash();
        assert_eq!(hash(&mint(), &acme, &first), hash(&mint(), &acme, &first));
        assert_ne!(hash(&mint(), &acme, &first), hash(&mint(), &acme, &second));
        // Without lengths in the derivation, these two would be one.
        assert_ne!(hash(&mint(), &acme, &second), hash(&mint(), &other, &first));
        let elsewhere = KeyMint::new("another secret of at least 32 bytes".into()).unwrap();
        assert_ne!(hash(&mint(), &acme, &first), hash(&elsewhere, &acme, &first));
        assert_eq!(mint().tenant_id("k1"), mint().tenant_id("k1"));
        assert_ne!(mint().tenant_id("k1"), mint().tenant_id("k2"));
    }

    #[test]
    fn a_short_secret_makes_no_mint() {
        assert_eq!(KeyMint::new("short".into()).unwrap_err(), ShortSecret { found_bytes: 5 });
    }
}
