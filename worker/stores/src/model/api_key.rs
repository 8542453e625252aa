use chrono::{DateTime, Utc};
use jobs::tenant::{ApiKeyId, InvalidId, KbId, Permission, Permissions, Role};

use super::OverQuota;

/// An API key to be stored: never the secret itself.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The part of the key that finds its row.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_sha256: String,
    /// What its holder may do at most.
    pub role: Role,
    /// The only knowledge base that it reaches; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// What of the role its holder may do; `None` for everything.
    pub permissions: Option<Permissions>,
    /// Who made it, as the text of a [`jobs::tenant::Actor`]; `None` for the first key of a tenant.
    pub created_by: Option<String>,
    /// When it stops working, if ever.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What people may see of an API key that was not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The part of the key that finds its row.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What its holder may do at most.
    pub role: Role,
    /// The only knowledge base that it reaches; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// What its holder may do.
    pub permissions: Permissions,
    /// Who made it.
    pub created_by: Option<String>,
    /// Grows with each change.
    pub revision: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working, if ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, to the minute; `None` if it never was.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation works beside the new one.
    pub previous_until: Option<DateTime<Utc>>,
}

/// What is changed of an API key.
#[derive(Debug, Clone)]
pub enum ApiKeyEdit {
    /// What people say of it; what is `None` stays.
    Details {
        /// What people call it.
        name: Option<String>,
        /// When it stops working.
        end: Option<KeyEnd>,
    },
    /// Another secret.
    Secret {
        /// SHA-256 of the secret part, in hexadecimal.
        sha256: String,
        /// Until when the secret of now goes on to work; `None` for no longer.
        previous_until: Option<DateTime<Utc>>,
    },
    /// It is worth nothing from then on.
    Revoked(DateTime<Utc>),
}

/// When an API key stops working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEnd {
    /// When it is revoked.
    Never,
    /// At this moment.
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

/// What became of a change of an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyChange {
    /// It happened. The key as it is now, or, revoked, as it was.
    Done(ApiKeyRow),
    /// There is no such key.
    Unknown,
    /// Somebody else changed the key before.
    Stale,
    /// Another key has the name.
    NameTaken,
}

/// What the directory knows of an API key.
#[derive(Debug, Clone)]
pub struct ApiKeyRecord {
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_sha256: String,
    /// The secret before the last rotation, and until when it works.
    pub previous: Option<(String, DateTime<Utc>)>,
    /// What its holder may do at most.
    pub role: Role,
    /// The only knowledge base that it reaches; `None` for all of the tenant.
    pub kb_id: Option<KbId>,
    /// What its holder may do while it works.
    pub permissions: Permissions,
    /// When it stops working, if ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiKeyRecord {
    /// Whether the key works at `now`: it was not revoked and has not expired.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// Whether what is about the knowledge base `kb`, or (`None`) about all of the tenant, is within reach.
    #[must_use]
    pub fn reaches(&self, kb: Option<&KbId>) -> bool {
        self.kb_id.is_none() || self.kb_id.as_ref() == kb
    }
}

/// Permissions as a column holds them.
pub(crate) fn scope_text(permissions: Permissions) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
}

/// What a key of `role` may do whose column is `scope`.
pub(crate) fn allowed(role: Role, scope: Option<&str>) -> Result<Permissions, InvalidId> {
    let Some(scope) = scope else { return Ok(role.permissions()) };
    let listed: Permissions =
        scope.split_whitespace().map(str::parse::<Permission>).collect::<Result<_, _>>()?;
    Ok(listed.intersection(role.permissions()))
}

/// What became of a new API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiKeyMade {
    /// It was stored.
    Done(ApiKeyRow),
    /// Another key has its name or id; nothing was stored.
    NameTaken,
    /// There are as many as there may be; nothing was stored.
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
