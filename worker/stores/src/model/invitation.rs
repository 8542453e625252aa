use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, Role, Subject};
use uuid::Uuid;

use super::{Member, OverQuota, User};

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
