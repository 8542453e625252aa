//! Webhooks: what an endpoint may be, which events it can be told of, and what it is told.
//!
//! An event is written down where it happens, once for each endpoint that asked for it, and delivered by jobs of type
//! [`crate::types::DeliverWebhook`].

mod event;
mod target;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use event::{Event, EventType};
pub use target::{InvalidTarget, Target, TargetRules};

use crate::id::{JobId, serde_as_text};
use crate::tenant::InvalidId;

/// Names an endpoint of a tenant: `wh_` and 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId(Arc<str>);

impl WebhookId {
    /// A fresh id.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("wh_{}", hex::encode(rand::random::<[u8; 12]>())).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The purpose that the endpoint's secret is sealed for.
    #[must_use]
    pub fn secret_purpose(&self) -> String {
        format!("secret of {}", self.0)
    }
}

impl FromStr for WebhookId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix("wh_").unwrap_or_default();
        if digits.len() == 24 && digits.bytes().all(is_hex) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new("webhook id", "`wh_` and 24 hexadecimal digits"))
        }
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names an event: `evt_`, a UUID of version 7 and a number. Ids are in the order of their times. Sent as `webhook-id`,
/// the same each time, so that a receiver can leave out what it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Arc<str>);

impl EventId {
    /// What the ids of events begin with that happen together at `now`; each ends with a number of its own.
    #[must_use]
    pub fn prefix(now: DateTime<Utc>) -> String {
        format!("evt_{}_", JobId::generate(now))
    }

    /// A fresh id.
    #[must_use]
    pub fn generate(now: DateTime<Utc>) -> Self {
        Self(format!("{}1", Self::prefix(now)).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_number = |number: &str| {
            (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let parts = text.strip_prefix("evt_").and_then(|rest| rest.split_once('_'));
        match parts {
            Some((uuid, number)) if uuid.parse::<JobId>().is_ok() && is_number(number) => {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidId::new("event id", "`evt_`, a UUID, `_` and a number")),
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(WebhookId);
serde_as_text!(EventId);

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_trip_through_text() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (webhook, event) = (WebhookId::generate(), EventId::generate(now));
        assert_eq!(webhook.to_string().parse(), Ok(webhook.clone()));
        assert_eq!(event.to_string().parse(), Ok(event.clone()));
        assert_ne!(WebhookId::generate(), webhook);
        for bad in ["", "wh_", "wh_0", "wh_00000000000000000000000G", "WH_000000000000000000000000"] {
            assert!(bad.parse::<WebhookId>().is_err(), "{bad}");
        }
        for bad in ["", "evt_", "evt_1", "evt_x_1", &event.as_str()[..40], &format!("{event}x")] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}
