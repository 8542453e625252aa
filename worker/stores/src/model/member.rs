use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Identity, Role, Subject};
use uuid::Uuid;

use super::{OverQuota, User};

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

/// An offer of a membership, for the person who has its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Names the invitation. Not secret.
    pub id: Uuid,
    /// Whom it is meant for, as its maker wrote it. It decides nothing.
    pub subject: Subject,
    /// What the person becomes.
    pub role: Role,
    /// Who made it, as the text of a [`jobs::tenant::Actor`].
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
}

impl Invitation {
    /// How many a tenant may have open at once, also where its plan does not limit members.
    pub const MOST: u64 = 1_000;
}

/// Finds an invitation, if it has not expired.
#[derive(Debug, Clone)]
pub struct InvitationSecret {
    /// The invitation's id.
    pub id: Uuid,
    /// SHA-256 of its secret, in hexadecimal.
    pub sha256: String,
}

/// What became of a new [`Invitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invited {
    /// It is open now.
    New,
    /// Another one that is open is meant for the same subject; nothing changed.
    Known,
    /// Members and open invitations together are as many as the tenant may have; nothing changed.
    OverQuota(OverQuota),
    /// There are [`Invitation::MOST`] open ones; nothing changed.
    TooMany,
}

impl Invited {
    /// What stands against one more invitation beside `members` and `open` others.
    pub(crate) fn refused(members: u64, open: u64, maximum: Option<u64>) -> Option<Self> {
        if let Some(over) = maximum.and_then(|maximum| OverQuota::members(members + open, maximum)) {
            return Some(Self::OverQuota(over));
        }
        (open >= Invitation::MOST).then_some(Self::TooMany)
    }
}

/// Who accepts an invitation.
#[derive(Debug, Clone)]
pub enum Invitee {
    /// A person whose credentials were checked.
    Known(Identity),
    /// An account that is made with the membership.
    New(User),
}

impl Invitee {
    /// Who becomes the member.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match self {
            Self::Known(identity) => identity.clone(),
            Self::New(user) => user.name.identity(),
        }
    }
}

/// What became of accepting an [`Invitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationAccepted {
    /// It is used up, and this is the member.
    Member(Member),
    /// There is no such invitation, or no longer, or the tenant takes no members now.
    Unknown,
    /// They are a member already; the invitation stays open.
    MemberExists,
    /// There is an account of that name; the invitation stays open.
    UserExists,
    /// The tenant has as many members as it may have; the invitation stays open.
    OverQuota(OverQuota),
}
