use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use jobs::tenant::{ApiKeyId, TenantId};

/// How many keys are remembered.
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
    pub(crate) fn is_news(&self, tenant: &TenantId, key: &ApiKeyId, now: DateTime<Utc>) -> bool {
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

    #[test]
    fn a_key_is_news_once_a_minute() {
        let usage = KeyUsage::default();
        let (acme, twin): (TenantId, TenantId) = ("acme".parse().unwrap(), "acme-2".parse().unwrap());
        let key = "abcd1234".parse().unwrap();
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
        assert!(usage.is_news(&acme, &key, at(0)));
        assert!(!usage.is_news(&acme, &key, at(59)));
        assert!(usage.is_news(&twin, &key, at(59)));
        assert!(usage.is_news(&acme, &key, at(60)));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let usage = KeyUsage::default();
        let (acme, now) = ("acme".parse().unwrap(), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        for number in 0..=KEYS_MAX {
            assert!(usage.is_news(&acme, &format!("key{number:06}").parse().unwrap(), now));
        }
        assert!(usage.noted.lock().unwrap().len() <= KEYS_MAX);
    }
}
