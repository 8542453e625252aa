//! Jobs that must not be enqueued twice.

use std::time::Duration;

pub use fair_queue::{OnConflict, UniqueScope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::stamp::IsoDuration;
use crate::tenant::KbId;

/// Keeps a second job with the same key out of the tenant's queue. The key is free again when the job ends, however it
/// ends; redriving a dead letter takes the key again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unique {
    /// The fields or the name that make two jobs duplicates.
    pub key: UniqueKey,
    /// How long the key is held.
    pub scope: UniqueScope,
    /// What to do with the second job.
    pub on_conflict: OnConflict,
}

/// What makes two jobs of a tenant the same. The tenant is always part of it, the knowledge base of the job too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueKey {
    /// The job type.
    Kind,
    /// The job type and the payload.
    Args,
    /// A key chosen by the caller, across all job types.
    Named([u8; 16]),
}

impl UniqueKey {
    /// The caller's own key.
    #[must_use]
    pub fn named(key: &str) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(key.as_bytes())[..16]);
        Self::Named(short)
    }
}

impl Unique {
    /// One job of the type at a time in a knowledge base.
    #[must_use]
    pub const fn kind() -> Self {
        Self { key: UniqueKey::Kind, scope: UniqueScope::UntilFinished, on_conflict: OnConflict::Keep }
    }

    /// One job of the type with these arguments at a time.
    #[must_use]
    pub const fn args() -> Self {
        Self { key: UniqueKey::Args, scope: UniqueScope::UntilFinished, on_conflict: OnConflict::Keep }
    }

    /// An idempotency key: enqueueing again with the same one within a day is answered with the first job.
    #[must_use]
    pub fn idempotency_key(key: &str) -> Self {
        let scope = UniqueScope::Period(Duration::from_secs(24 * 3600));
        Self { key: UniqueKey::named(key), scope, on_conflict: OnConflict::Keep }
    }

    /// With another scope.
    #[must_use]
    pub const fn scope(self, scope: UniqueScope) -> Self {
        Self { scope, ..self }
    }

    /// With another answer to a conflict.
    #[must_use]
    pub const fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self { on_conflict, ..self }
    }

    pub(super) fn policy(self, kind: &str, kb: Option<&KbId>, payload: &str) -> UniquePolicy {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update(bytes.len().to_le_bytes());
            digest.update(bytes);
        };
        part(kb.map_or("", KbId::as_str).as_bytes());
        let keys: &[&str] = match self.key {
            UniqueKey::Kind => {
                part(kind.as_bytes());
                &["type"]
            }
            UniqueKey::Args => {
                part(kind.as_bytes());
                part(payload.as_bytes());
                &["type", "args"]
            }
            UniqueKey::Named(key) => {
                part(&key);
                &["meta.unique_key"]
            }
        };
        let (until, period) = match self.scope {
            UniqueScope::UntilStarted => (Until::Started, None),
            UniqueScope::UntilFinished => (Until::Finished, None),
            UniqueScope::Period(period) => (Until::Period, Some(IsoDuration(period))),
        };
        UniquePolicy {
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            digest: hex::encode(&digest.finalize()[..12]),
            until,
            period,
            on_conflict: self.on_conflict,
        }
    }
}

/// [`Unique`] as it travels: the Open Job Spec's `unique`, with the digest that the queue compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniquePolicy {
    /// The fields that make two jobs duplicates.
    pub keys: Vec<String>,
    /// Their digest.
    pub digest: String,
    /// The event that frees the key.
    pub until: Until,
    /// For how long, counted from the enqueue, when that is what frees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<IsoDuration>,
    /// What to do with the second job.
    pub on_conflict: OnConflict,
}

impl UniquePolicy {
    /// The same in the words of the queue.
    pub(super) fn in_queue(&self) -> fair_queue::Unique {
        let scope = match self.until {
            Until::Started => UniqueScope::UntilStarted,
            Until::Finished => UniqueScope::UntilFinished,
            Until::Period => UniqueScope::Period(self.period.map_or(Duration::ZERO, |period| period.0)),
        };
        fair_queue::Unique { key: self.digest.clone(), scope, on_conflict: self.on_conflict }
    }
}

/// The event that frees a unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A worker takes the job.
    Started,
    /// The job ends.
    Finished,
    /// Time passes.
    Period,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_digest() {
        let kb: KbId = "wiki".parse().unwrap();
        let digest = |unique: Unique, kind: &str, kb: Option<&KbId>, payload: &str| {
            unique.policy(kind, kb, payload).digest
        };
        let base = digest(Unique::args(), "a.b", None, "{}");
        assert_eq!(digest(Unique::args().scope(UniqueScope::UntilStarted), "a.b", None, "{}"), base);
        assert_ne!(digest(Unique::args(), "a.c", None, "{}"), base);
        assert_ne!(digest(Unique::args(), "a.b", Some(&kb), "{}"), base);
        assert_ne!(digest(Unique::args(), "a.b", None, "[]"), base);
        assert_ne!(digest(Unique::kind(), "a.b", None, "{}"), base);
        assert_eq!(digest(Unique::kind(), "a.b", None, "{}"), digest(Unique::kind(), "a.b", None, "[]"));
        let named = digest(Unique::idempotency_key("k"), "a.b", None, "{}");
        assert_eq!(named, digest(Unique::idempotency_key("k"), "a.c", None, "[]"));
        assert_ne!(named, digest(Unique::idempotency_key("l"), "a.b", None, "{}"));
    }

    #[test]
    fn it_travels() {
        let policy =
            Unique::idempotency_key("k").on_conflict(OnConflict::Reschedule).policy("a.b", None, "{}");
        let text = serde_json::to_string(&policy).unwrap();
        assert!(
            text.contains(r#""until":"period","period":"PT86400S","on_conflict":"reschedule""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<UniquePolicy>(&text).unwrap(), policy);
    }
}
