use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Identity, Role, Subject};
use uuid::Uuid;

use super::{OverQuota, User};

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person.
    pub identity: Identity,
    /// The person's role in the tenant.
    pub role: Role,
    /// Incremented with each change.
    pub revision: u64,
    /// When the membership began.
    pub created_at: DateTime<Utc>,
    /// The actor that added or invited the person, if that is known.
    pub created_by: Option<String>,
}

/// The outcome of adding a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAdded {
    /// Added.
    New(Member),
    /// The person is a member already; nothing changed.
    Known,
    /// The tenant may have no more members; nothing changed.
    OverQuota(OverQuota),
}

impl OverQuota {
    /// The quota that one more member or invitation would exceed, besides `current` others.
    pub(crate) fn members(current: u64, maximum: u64) -> Option<Self> {
        (current >= maximum).then_some(Self { quota: Quota::Members, current, maximum })
    }
}

/// The relation of an identity to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member with this role.
    Member(Role),
    /// A former member.
    Removed,
    /// Never a member.
    Stranger,
}

/// The outcome of changing a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// Changed. The member as it is now, or, when removed, as it was.
    Done(Member),
    /// There is no such member.
    Unknown,
    /// Conflict: another caller changed the member first.
    Stale,
    /// It would leave the tenant without an [`Role::Admin`].
    LastAdmin,
}

impl Member {
    /// The member after a change to `role`, or after its removal (`None`), if that is allowed. `other_admins` says
    /// whether the tenant has others with [`Role::Admin`].
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

/// An invitation to become a member, accepted with its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The invitation's id. Not a secret.
    pub id: Uuid,
    /// The intended person, as written by the inviter. Not checked on acceptance.
    pub subject: Subject,
    /// The role of the new member.
    pub role: Role,
    /// The inviter, as the text of a [`jobs::tenant::Actor`].
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Expiry.
    pub expires_at: DateTime<Utc>,
}

impl Invitation {
    /// Maximum of open invitations of a tenant, also where its plan does not limit members.
    pub const MOST: u64 = 1_000;
}

/// Identifies an invitation by id and secret.
#[derive(Debug, Clone)]
pub struct InvitationSecret {
    /// The invitation's id.
    pub id: Uuid,
    /// SHA-256 of its secret, in hexadecimal.
    pub sha256: String,
}

/// The outcome of creating an [`Invitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invited {
    /// Created.
    New,
    /// Another open invitation has the same subject; nothing changed.
    Known,
    /// Members and open invitations together may not be more; nothing changed.
    OverQuota(OverQuota),
    /// There are [`Invitation::MOST`] open ones; nothing changed.
    TooMany,
}

impl Invited {
    /// The quota that one more invitation would exceed, besides `members` and `open` others.
    pub(crate) fn refused(members: u64, open: u64, maximum: Option<u64>) -> Option<Self> {
        if let Some(over) = maximum.and_then(|maximum| OverQuota::members(members + open, maximum)) {
            return Some(Self::OverQuota(over));
        }
        (open >= Invitation::MOST).then_some(Self::TooMany)
    }
}

/// The person who accepts an invitation.
#[derive(Debug, Clone)]
pub enum Invitee {
    /// An authenticated person.
    Known(Identity),
    /// An account that is created together with the membership.
    New(User),
}

impl Invitee {
    /// The identity that becomes a member.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match self {
            Self::Known(identity) => identity.clone(),
            Self::New(user) => user.name.identity(),
        }
    }
}

/// The outcome of accepting an [`Invitation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationAccepted {
    /// The invitation is consumed, and this is the member.
    Member(Member),
    /// The invitation does not exist or has expired, or the tenant takes no members now.
    Unknown,
    /// The person is a member already; the invitation stays open.
    MemberExists,
    /// An account with this name exists; the invitation stays open.
    UserExists,
    /// The tenant may have no more members; the invitation stays open.
    OverQuota(OverQuota),
}
