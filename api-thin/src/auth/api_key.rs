//! API keys, the hashes under which secrets are kept and compared, and which keys were used lately.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use hmac::digest::CtOutput;
use jobs::tenant::{ApiKeyId, TenantId};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::key_derivation::KeyDerivation;

/// An API key: `tk_{tenant}_{key id}_{secret}`. Neither a tenant nor a key id contains `_`.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The tenant that the key claims to belong to.
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
    /// The prefix of every API key.
    pub const PREFIX: &'static str = "tk_";

    /// A key with a random id and secret.
    #[must_use]
    pub fn fresh(tenant: &TenantId) -> Self {
        let id = hex::encode(rand::random::<[u8; 8]>());
        Self::with_fresh_secret(tenant, id.parse().expect("hexadecimal digits are an API key id"))
    }

    /// The key called `id` with a random secret.
    #[must_use]
    pub fn with_fresh_secret(tenant: &TenantId, id: ApiKeyId) -> Self {
        let secret = hex::encode(rand::random::<[u8; 32]>());
        Self { tenant: tenant.clone(), id, secret: secret.into() }
    }

    /// The key of `tenant` called `id` with a derived secret: the same each time, so that an answer which holds it can
    /// be given again without storing it.
    #[must_use]
    pub fn derived(keys: &KeyDerivation, tenant: &TenantId, id: &ApiKeyId) -> Self {
        let secret = keys.derive("api key", &[tenant.as_str(), id.as_str()]);
        Self { tenant: tenant.clone(), id: id.clone(), secret: secret.into() }
    }

    /// SHA-256 of the secret part.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The whole key, to be shown once.
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

/// Maximum number of cached keys.
const KEYS_MAX: usize = 10_000;
/// How often the use of one key is written down.
const EVERY: TimeDelta = TimeDelta::minutes(1);

/// Which API keys were used lately, so that the use of one is written down once a minute and not with every
/// request.
#[derive(Debug, Default)]
pub(crate) struct KeyUsage {
    noted: Mutex<HashMap<(TenantId, ApiKeyId), DateTime<Utc>>>,
}

impl KeyUsage {
    /// Whether the use of a key at `now` is to be written down. Then the next minute's is not.
    pub(crate) fn is_due(&self, tenant: &TenantId, key: &ApiKeyId, now: DateTime<Utc>) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = (tenant.clone(), key.clone());
        if noted.get(&of_key).is_some_and(|last| now - *last < EVERY) {
            return false;
        }
        if noted.len() >= KEYS_MAX {
            noted.retain(|_, last| now - *last < EVERY);
        }
        // Still too many: the catalog does not write a use twice in a minute either.
        if noted.len() >= KEYS_MAX {
            noted.clear();
        }
        noted.insert(of_key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> KeyDerivation {
        KeyDerivation::new(&"0123456789abcdef0123456789abcdef".into()).unwrap()
    }

    #[test]
    fn a_hash_survives_hexadecimal_and_equals_only_itself() {
        let hash = SecretHash::of(&"secret".into());
        assert_eq!(SecretHash::from_hex(&hash.to_hex()), Some(hash.clone()));
        assert_ne!(hash, SecretHash::of(&"Secret".into()));
        assert_eq!(SecretHash::from_hex("00"), None);
    }

    #[test]
    fn a_key_is_read_as_it_was_shown() {
        let key = ApiKey::derived(&keys(), &"acme-2".parse().unwrap(), &"abcd1234".parse().unwrap());
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
        let hash = |keys: &KeyDerivation, tenant, id| ApiKey::derived(keys, tenant, id).secret_hash();
        assert_eq!(hash(&keys(), &acme, &first), hash(&keys(), &acme, &first));
        assert_ne!(hash(&keys(), &acme, &first), hash(&keys(), &acme, &second));
        // Without lengths in the derivation, these two would be one.
        assert_ne!(hash(&keys(), &acme, &second), hash(&keys(), &other, &first));
        let elsewhere = KeyDerivation::new(&"another secret of at least 32 bytes".into()).unwrap();
        assert_ne!(hash(&keys(), &acme, &first), hash(&elsewhere, &acme, &first));
    }

    #[test]
    fn a_key_is_news_once_a_minute() {
        let usage = KeyUsage::default();
        let (acme, twin): (TenantId, TenantId) = ("acme".parse().unwrap(), "acme-2".parse().unwrap());
        let key = "abcd1234".parse().unwrap();
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        assert!(usage.is_due(&acme, &key, at(0)));
        assert!(!usage.is_due(&acme, &key, at(59)));
        assert!(usage.is_due(&twin, &key, at(59)));
        assert!(usage.is_due(&acme, &key, at(60)));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let usage = KeyUsage::default();
        let (acme, now) = ("acme".parse().unwrap(), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        for number in 0..=KEYS_MAX {
            assert!(usage.is_due(&acme, &format!("key{number:06}").parse().unwrap(), now));
        }
        assert!(usage.noted.lock().unwrap().len() <= KEYS_MAX);
    }
}
