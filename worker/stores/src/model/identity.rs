//! People who log in, and what they are logged in to.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use jobs::tenant::{ApiKeyId, Identity, Role, Subject, TenantId};
use uuid::Uuid;

use super::OverQuota;

/// Names an account, for good: the `sub` of the tokens of its log-ins.
///
/// Names are told apart without regard to case, so a name is kept in lower case.
///
/// ```
/// use stores::model::UserName;
/// assert_eq!("Ann@example.com".parse::<UserName>().unwrap().as_str(), "ann@example.com");
/// assert!("ann:2".parse::<UserName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Subject);

/// A text that cannot name a person. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a user name: expected 1 to 128 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit")]
pub struct InvalidUserName;

impl UserName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The account as a member.
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

/// A person who can log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The password's hash as a PHC string.
    pub password_hash: String,
}

/// Without the hash, which a log has no use for.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What putting a [`User`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserChange {
    /// The user is new.
    Made,
    /// The password is another one now, and the user's sessions have ended.
    PasswordChanged,
    /// Nothing.
    Same,
}

/// What a person is in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantId,
    /// What people call the tenant.
    pub tenant_name: String,
    /// What the person is in it.
    pub role: Role,
}

/// What an imported person is to be in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// What the person is to be there.
    pub role: Role,
    /// A key that the person's programs use: its id, and SHA-256 of its secret part in hexadecimal.
    pub api_key: Option<(ApiKeyId, String)>,
}

/// What became of giving a person a [`Place`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceChange {
    /// Whether they are a member.
    pub member: MemberPlaced,
    /// Whether their key is there; `None` when they bring none, or are no member.
    pub api_key: Option<KeyPlaced>,
}

/// What became of a person who was to be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberPlaced {
    /// They are one now, and had never been.
    New,
    /// They were one before, or are no longer, and stay what they are.
    Known,
    /// The tenant has as many as it may. Nothing was written.
    OverQuota(OverQuota),
}

/// What became of a key that a person was to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlaced {
    /// It is there now, called as the person is.
    New,
    /// It was there, or is revoked, and stays what it is.
    Known,
    /// Another key of the tenant is called so. It was not written.
    NameTaken,
}

/// A person who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names the session: the `sid` of its tokens. Not a secret.
    pub id: Uuid,
    /// Who logged in.
    pub user: UserName,
    /// The tenant they act in; `None` for a super-admin who acts in none.
    pub tenant: Option<TenantId>,
    /// How often it was renewed. Only the newest refresh token works.
    pub generation: u32,
    /// When it ends unless it is renewed.
    pub expires_at: DateTime<Utc>,
}

/// What became of an attempt to renew a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It goes on, one generation later.
    Renewed(Session),
    /// The refresh token had been used before: somebody has a copy. The session has been ended.
    Reused,
    /// There is no such session any more.
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
