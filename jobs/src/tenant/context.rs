//! The proof that an authenticated caller may act for a tenant.
//!
//! **Why a value.** Every store call takes its tenant from a [`TenantContext`] that the caller holds. A thread-local
//! or task-local could keep the tenant of the previous job; the next job would then run with the wrong tenant. A
//! parameter cannot be forgotten: the compiler requires it.
//!
//! **Why it cannot be made.** The fields are private and there is no `Deserialize`, no `Default` and no
//! setter. A context comes from a request whose credentials were checked ([`TenantContext::for_request`]),
//! from a signed envelope that was checked against the directory ([`crate::envelope::Verifier::verify`]), or,
//! with the feature
//! `test-support`, from a test.
//!
//! **Why there is no system tenant.** A context for "all tenants" would be the one value worth stealing. Work
//! over all tenants fans out into one stamped job for each of them.

#[cfg(feature = "test-support")]
use super::Identity;
use super::{Actor, KbId, Permission, Permissions, Role, TenantId};

/// What checking a request's credentials has established. Plain data: it becomes authority only through
/// [`TenantContext::for_request`].
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The tenant that the credentials belong to.
    pub tenant_id: TenantId,
    /// The tenant's epoch at the time of the check; see [`super::TenantRecord::epoch`].
    pub epoch: u64,
    /// The knowledge base that the request names, if it exists.
    pub kb_id: Option<KbId>,
    /// The actor that the credentials belong to.
    pub actor: Actor,
    /// The actor's role in the tenant.
    pub role: Role,
    /// What the credentials allow: at most what the role allows.
    pub permissions: Permissions,
}

/// The authority to act for one tenant.
///
/// It cannot be written down by hand:
///
/// ```compile_fail,E0451
/// use jobs::tenant::TenantContext;
/// let forged = TenantContext { tenant_id: "acme".parse().unwrap() };
/// ```
///
/// nor read from bytes:
///
/// ```compile_fail,E0277
/// use jobs::tenant::TenantContext;
/// let forged: TenantContext = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TenantContext {
    tenant_id: TenantId,
    epoch: u64,
    kb_id: Option<KbId>,
    actor: Actor,
    role: Role,
    permissions: Permissions,
}

impl TenantContext {
    /// The context of a request whose credentials were checked. Only the API's authorization calls this.
    #[must_use]
    pub fn for_request(who: Authenticated) -> Self {
        Self::from_authenticated(who)
    }

    pub(crate) fn from_authenticated(who: Authenticated) -> Self {
        let Authenticated { tenant_id, epoch, kb_id, actor, role, permissions } = who;
        Self {
            tenant_id,
            epoch,
            kb_id,
            actor,
            role,
            permissions: permissions.intersection(role.permissions()),
        }
    }

    /// An administrator of `tenant`, for tests.
    ///
    /// # Panics
    /// When `tenant` is not a valid tenant id.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn for_tests(tenant: &str) -> Self {
        Self::from_authenticated(Authenticated {
            tenant_id: tenant.parse().expect("a test names a valid tenant"),
            epoch: 0,
            kb_id: Some(KbId::first()),
            actor: Actor::User(Identity::product("test").expect("a name")),
            role: Role::Admin,
            permissions: Role::Admin.permissions(),
        })
    }

    /// The tenant whose data this context reaches.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.tenant_id
    }

    /// The tenant's epoch under which this authority was given.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The knowledge base that this work is about, if it is about one.
    #[must_use]
    pub fn kb_id(&self) -> Option<&KbId> {
        self.kb_id.as_ref()
    }

    /// The actor that caused the request or job.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The actor's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The actor's permissions here.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// Whether the actor may do `permission` here.
    #[must_use]
    pub fn has_permission(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }
}
