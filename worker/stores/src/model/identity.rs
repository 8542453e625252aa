//! Accounts, sessions and imported memberships.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jobs::tenant::{ApiKeyId, Identity, Role, Subject, TenantId};
use uuid::Uuid;

use super::OverQuota;

/// The permanent name of an account: the `sub` of its tokens.
///
/// Names are compared without regard to case, so a name is kept in lower case.
///
/// ```
/// use stores::model::UserName;
/// assert_eq!("Ann@example.com".parse::<UserName>().unwrap().as_str(), "ann@example.com");
/// assert!("ann:2".parse::<UserName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Subject);

/// A text that is not a valid user name. The error does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a user name: expected 1 to 128 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit")]
pub struct InvalidUserName;

impl UserName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The account as a member's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::local(&self.0)
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        text.to_ascii_lowercase().parse().map(Self).map_err(|_| InvalidUserName)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The password's hash as a PHC string.
    pub password_hash: String,
}

/// Leaves out the password hash.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The outcome of storing a [`User`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserChange {
    /// The account was created.
    Made,
    /// The password was replaced, and the account's sessions have ended.
    PasswordChanged,
    /// Nothing changed.
    Same,
}

/// A person's membership in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's display name.
    pub tenant_name: String,
    /// The person's role.
    pub role: Role,
}

/// The membership of an imported account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipImport {
    /// The tenant.
    pub tenant: TenantId,
    /// The person's role.
    pub role: Role,
    /// An API key of the person's programs: its id, and SHA-256 of its secret part in hexadecimal.
    pub api_key: Option<(ApiKeyId, String)>,
}

/// The outcome of importing a membership ([`MembershipImport`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipImported {
    /// The outcome for the membership.
    pub member: MemberPlaced,
    /// The outcome for the API key; `None` when there is none, or when the person is not a member.
    pub api_key: Option<KeyPlaced>,
}

/// The outcome for an imported membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberPlaced {
    /// Created.
    New,
    /// The person was a member before, and may have been removed; nothing changed.
    Known,
    /// The tenant may have no more members; nothing was written.
    OverQuota(OverQuota),
}

/// The outcome for an imported API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlaced {
    /// Created, with the account's name as its name.
    New,
    /// The key was there, and may be revoked; nothing changed.
    Known,
    /// Another key of the tenant has the name; nothing was written.
    NameTaken,
}

/// A session: a log-in that can be renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session's id: the `sid` of its tokens. Not a secret.
    pub id: Uuid,
    /// Who logged in.
    pub user: UserName,
    /// The tenant of the session; `None` for a super-admin without a tenant.
    pub tenant: Option<TenantId>,
    /// Number of renewals. Only the refresh token of the current generation is valid.
    pub generation: u32,
    /// Expiry, unless the session is renewed.
    pub expires_at: DateTime<Utc>,
}

/// The outcome of renewing a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// Renewed, with the next generation.
    Renewed(Session),
    /// The refresh token was used before, so it may have been stolen. The session was ended.
    Reused,
    /// The session has ended or does not exist.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_lower_case() {
        for good in ["a", "0", "ann", "ann.b-c_d+e@example.com", &"a".repeat(128)] {
            assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(129);
        for bad in ["", ".a", "@a", "a b", "a:b", "a/b", "a\n", "аnn", "an\u{212a}", "$ne", "a'--", &long] {
            assert_eq!(bad.parse::<UserName>(), Err(InvalidUserName), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_is_not_written_to_logs() {
        let user = User { name: "ann".parse().unwrap(), password_hash: "$argon2id$secret".into() };
        assert!(!format!("{user:?}").contains("secret"));
    }
}
