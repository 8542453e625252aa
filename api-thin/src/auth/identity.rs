use jobs::tenant::{Actor, KbId, Role, TenantId};

/// Who asks, as far as their credentials prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Whoever runs the installation: makes tenants and watches them, and is a member of none.
    Operator,
    /// Somebody in one tenant.
    Member(Member),
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
}
