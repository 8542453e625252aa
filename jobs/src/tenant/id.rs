//! Ids of tenants and knowledge bases.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::serde_as_text;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: expected {expected}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, expected: &'static str) -> Self {
        Self { what, expected }
    }
}

const LABEL: &str = "1 to 63 of a-z, 0-9 and -, neither first nor last a -";

/// A DNS label (RFC 1123): short, lower case, safe in a host name, a key, a path and a log line.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        serde_as_text!($name);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_label(text) { Ok(Self(text.into())) } else { Err(InvalidId::new($what, LABEL)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label_id!(
    /// Names a tenant: one customer of the product.
    ///
    /// ```
    /// use jobs::tenant::TenantId;
    /// assert!("acme".parse::<TenantId>().is_ok());
    /// assert!("acme:2".parse::<TenantId>().is_err());
    /// ```
    TenantId,
    "tenant id"
);
label_id!(
    /// Names a knowledge base inside its tenant.
    KbId,
    "knowledge base id"
);

impl KbId {
    /// The knowledge base that every tenant is provisioned with.
    ///
    /// # Panics
    /// Never: `default` is a valid label.
    #[must_use]
    pub fn first() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_smuggle_separators() {
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a:b", "a/b", "a\nb", "a.b", "a b", "é", long.as_str()] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
        for good in ["a", "acme", "acme-2", "0", &"a".repeat(63)] {
            assert_eq!(good.parse::<TenantId>().unwrap().as_str(), good);
        }
    }
}
