//! Ids of tenants and knowledge bases.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

pub use fair_queue::InvalidId;
use fair_queue::PartitionId;

use crate::id::serde_as_text;

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(PartitionId);

        serde_as_text!($name);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let label = text.parse().map(Self);
                label.map_err(|_| InvalidId::new($what, PartitionId::EXPECTED))
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
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
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

/// A tenant's jobs are a partition of the queue, of the same name.
impl Deref for TenantId {
    type Target = PartitionId;

    fn deref(&self) -> &PartitionId {
        &self.0
    }
}

impl From<PartitionId> for TenantId {
    fn from(partition: PartitionId) -> Self {
        Self(partition)
    }
}

impl KbId {
    /// The knowledge base that every tenant is provisioned with.
    ///
    /// # Panics
    /// Never: `default` is a valid label.
    #[must_use]
    pub fn first() -> Self {
        Self("default".parse().expect("it is a valid label"))
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
