use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Identity, Role};

use super::OverQuota;

/// Somebody who belongs to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub identity: Identity,
    /// What they are in the tenant.
    pub role: Role,
    /// Grows with each change.
    pub revision: u64,
    /// Since when they are a member.
    pub created_at: DateTime<Utc>,
}

/// What became of a new member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAdded {
    /// They are a member now.
    New(Member),
    /// They were one already; nothing changed.
    Known,
    /// The tenant has as many as it may have.
    OverQuota(OverQuota),
}

impl OverQuota {
    /// What stands against one more member, or invitation, beside `current` others.
    pub(crate) fn members(current: u64, maximum: u64) -> Option<Self> {
        (current >= maximum).then_some(Self { quota: Quota::Members, current, maximum })
    }
}

/// What an identity is in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member.
    Member(Role),
    /// A member no longer.
    Removed,
    /// Never one.
    Stranger,
}

/// What became of a change of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// It happened. The member as they are now, or, removed, as they were.
    Done(Member),
    /// There is no such member.
    Unknown,
    /// Somebody else changed the member before.
    Stale,
    /// It would leave the tenant without an [`Role::Admin`].
    LastAdmin,
}

impl Member {
    /// The member after a change to `role`, or to nobody (`None`), if it may happen. `other_admins` is whether
    /// the tenant has others with [`Role::Admin`].
    pub(crate) fn change(
        found: Option<Self>,
        role: Option<Role>,
        revision: Option<u64>,
        other_admins: bool,
    ) -> Result<Self, MemberChange> {
        let member = found.ok_or(MemberChange::Unknown)?;
        if revision.is_some_and(|revision| revision != member.revision) {
            return Err(MemberChange::Stale);
        }
        let stops = member.role == Role::Admin && role != Some(Role::Admin);
        if stops && !other_admins {
            return Err(MemberChange::LastAdmin);
        }
        Ok(Self { role: role.unwrap_or(member.role), revision: member.revision + 1, ..member })
    }
}
