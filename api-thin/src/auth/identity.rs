use jobs::tenant::{Actor, KbId, Role, TenantId};
use stores::model::UserName;
use uuid::Uuid;

/// Who asks, as far as their credentials prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whoever runs the installation: makes tenants and watches them, and is a member of none.
    Operator,
    /// Somebody in one tenant.
    Member(Member),
    /// A user who may also do what the operator may.
    SuperAdmin(SuperAdmin),
}

impl Identity {
    /// Whether this may do what the operator may.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        !matches!(self, Self::Member(_))
    }
}

/// A user who may do what the operator may, and in their own tenant what they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperAdmin {
    /// Who.
    pub user: UserName,
    /// What they are in the tenant that their token names, if it names one.
    pub member: Option<Member>,
    /// The session that their token ends with, if it came from our own log-in.
    pub session: Option<Uuid>,
}

/// Somebody in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The only tenant that the credentials reach.
    pub tenant: TenantId,
    /// Whose credentials they are.
    pub actor: Actor,
    /// What they are in the tenant.
    pub role: Role,
    /// The only knowledge base that the credentials reach, if they are limited to one.
    pub kb: Option<KbId>,
    /// The session that they end with, if they came from our own log-in.
    pub session: Option<Uuid>,
}

impl Member {
    /// Whoever comes without credentials to an installation that asks for none.
    #[must_use]
    pub fn anonymous(tenant: TenantId) -> Self {
        Self { tenant, actor: Actor::User("anonymous".into()), role: Role::Admin, kb: None, session: None }
    }
}
