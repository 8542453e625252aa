use jobs::tenant::{Actor, Identity, KbId, Role, TenantId};
use uuid::Uuid;

/// Who asks, as far as their credentials prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Runs the installation: makes tenants and watches them, and is a member of none.
    Operator,
    /// Belongs to one tenant.
    Member(Member),
    /// A person who may also do what the operator may.
    SuperAdmin(SuperAdmin),
}

impl Principal {
    /// Whether this may do what the operator may.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        !matches!(self, Self::Member(_))
    }
}

/// A person who may do what the operator may, and in their own tenant what they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperAdmin {
    /// Who.
    pub identity: Identity,
    /// What they are in the tenant that their token names, if it names one.
    pub member: Option<Member>,
    /// The session that their token ends with, if it came from our own log-in.
    pub session: Option<Uuid>,
}

/// A caller in one tenant.
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
    /// A caller without credentials, in an installation that asks for none.
    #[must_use]
    pub fn anonymous(tenant: TenantId) -> Self {
        let actor = Actor::User(Identity::product("anonymous").expect("a name without control characters"));
        Self { tenant, actor, role: Role::Admin, kb: None, session: None }
    }
}
