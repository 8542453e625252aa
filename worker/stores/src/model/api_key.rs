use chrono::{DateTime, Utc};
use jobs::tenant::{ApiKeyId, InvalidId, KbId, Permission, Permissions, Role};

use super::OverQuota;

/// An API key to be stored. Contains a digest, never the secret.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The public part of the key, by which its row is found.
    pub id: ApiKeyId,
    /// Its display name.
    pub name: String,
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_sha256: String,
    /// The role that bounds the key's permissions.
    pub role: Role,
    /// The only knowledge base that the key may access; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// The subset of the role's permissions; `None` for all of them.
    pub permissions: Option<Permissions>,
    /// The creator, as the text of a [`jobs::tenant::Actor`]; `None` for the first key of a tenant.
    pub created_by: Option<String>,
    /// Expiry, if any.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The public data of an API key that was not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The public part of the key, by which its row is found.
    pub id: ApiKeyId,
    /// Its display name.
    pub name: String,
    /// The role that bounds the key's permissions.
    pub role: Role,
    /// The only knowledge base that the key may access; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// The key's permissions.
    pub permissions: Permissions,
    /// The creator, as the text of a [`jobs::tenant::Actor`].
    pub created_by: Option<String>,
    /// Incremented with each change.
    pub revision: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Expiry, if any.
    pub expires_at: Option<DateTime<Utc>>,
    /// Last use, to the minute; `None` if it was never used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation is accepted as well.
    pub previous_until: Option<DateTime<Utc>>,
}

/// A change of an API key.
#[derive(Debug, Clone)]
pub enum ApiKeyEdit {
    /// Changes name and expiry; `None` leaves a value as it is.
    Details {
        /// The new display name.
        name: Option<String>,
        /// The new expiry.
        end: Option<KeyEnd>,
    },
    /// Rotates the secret.
    Secret {
        /// SHA-256 of the secret part, in hexadecimal.
        sha256: String,
        /// Until when the present secret is still accepted; `None` for no longer.
        previous_until: Option<DateTime<Utc>>,
    },
    /// Revokes the key at this time.
    Revoked(DateTime<Utc>),
}

/// Expiry of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEnd {
    /// Valid until it is revoked.
    Never,
    /// Valid until this time.
    At(DateTime<Utc>),
}

impl KeyEnd {
    pub(crate) fn at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

/// The outcome of a change of an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyChange {
    /// Changed. The key as it is now, or, when revoked, as it was.
    Done(ApiKeyRow),
    /// There is no such key.
    Unknown,
    /// Conflict: another caller changed the key first.
    Stale,
    /// Another key has the name.
    NameTaken,
}

/// An API key as the directory reads it, to authenticate and authorise a caller.
#[derive(Debug, Clone)]
pub struct ApiKeyRecord {
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_sha256: String,
    /// The secret before the last rotation, and until when it is accepted.
    pub previous: Option<(String, DateTime<Utc>)>,
    /// The role that bounds the key's permissions.
    pub role: Role,
    /// The only knowledge base that the key may access; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// The key's permissions, while it is valid.
    pub permissions: Permissions,
    /// Expiry, if any.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKeyRecord {
    /// Whether the key is valid at `now`: neither revoked nor expired.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// Whether the key may access the knowledge base `kb`, or (`None`) the tenant as a whole.
    #[must_use]
    pub fn reaches(&self, kb: Option<&KbId>) -> bool {
        self.kb_id.is_none() || self.kb_id.as_ref() == kb
    }
}

/// Permissions as stored in a column.
pub(crate) fn scope_text(permissions: Permissions) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
}

/// The permissions of a key with `role` and the stored subset `scope`.
pub(crate) fn allowed(role: Role, scope: Option<&str>) -> Result<Permissions, InvalidId> {
    let Some(scope) = scope else { return Ok(role.permissions()) };
    let listed: Permissions =
        scope.split_whitespace().map(str::parse::<Permission>).collect::<Result<_, _>>()?;
    Ok(listed.intersection(role.permissions()))
}

/// The outcome of creating an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyMade {
    /// It was stored.
    Done(ApiKeyRow),
    /// Another key has its name or id; nothing was stored.
    NameTaken,
    /// The tenant may have no more keys; nothing was stored.
    OverQuota(OverQuota),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_was_written_and_never_exceeds_the_role() {
        let list = Permissions::of(&[Permission::DocumentRead, Permission::DocumentCreate]);
        let text = scope_text(list);
        assert_eq!(allowed(Role::Editor, Some(&text)), Ok(list));
        assert_eq!(allowed(Role::Viewer, Some(&text)), Ok(Permissions::of(&[Permission::DocumentRead])));
        assert_eq!(allowed(Role::Editor, Some("")), Ok(Permissions::NONE));
        assert_eq!(allowed(Role::Editor, None), Ok(Role::Editor.permissions()));
        assert!(allowed(Role::Editor, Some("document:read everything")).is_err());
    }
}
