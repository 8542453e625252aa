//! Who caused a job.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Identity, InvalidId};
use crate::as_text::serde_as_text;

/// Names an API key. Not secret: it is the part of the key that finds its row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(Arc<str>);

impl ApiKeyId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (8..=32).contains(&text.len()) && text.bytes().all(ok) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new("API key id", "8 to 32 of a-z and 0-9"))
        }
    }
}

impl TryFrom<String> for ApiKeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who caused a job: the answer to "why does this run?" in the stamp, the audit log and the traces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    User(Identity),
    /// A program that holds an API key of the tenant.
    ApiKey(ApiKeyId),
    /// A schedule of the tenant, by name. It may do what the person who made it may still do.
    Schedule(Arc<str>),
    /// Whoever runs the installation. May create tenants; is not a member of any.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(identity) => identity.fmt(f),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("actor", "an identity, api_key:…, schedule:… or operator");
        let named = |name: &str| (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
        match text.split_once(':') {
            Some(("api_key", id)) => id.parse().map(Self::ApiKey),
            Some(("schedule", name)) => {
                if named(name) {
                    Ok(Self::Schedule(name.into()))
                } else {
                    Err(invalid())
                }
            }
            Some(_) => text.parse().map(Self::User).map_err(|_| invalid()),
            None if text == "operator" => Ok(Self::Operator),
            None => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

serde_as_text!(ApiKeyId);
serde_as_text!(Actor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_survive_the_trip_through_text() {
        for text in [
            "local:ann@example.com",
            "product:a:b",
            "issuer:https://id.example.com/#Ann",
            "user:ann",
            "api_key:abcd1234",
            "schedule:nightly",
            "operator",
        ] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for bad in ["", "user:", "root", "operator:x", "api_key:A", "schedule:", "product:a\nb", "local:Ann"]
        {
            assert!(bad.parse::<Actor>().is_err(), "{bad:?}");
        }
    }
}
