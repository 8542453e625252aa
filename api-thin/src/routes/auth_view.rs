use jobs::tenant::{Actor, KbId, Role, TenantId};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::Membership;

use crate::accounts::{Accounts, LoggedIn};
use crate::auth::OwnTokens;

/// What somebody gets who logged in (RFC 6749, 5.1).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenSet {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    expires_in: i64,
    /// It is good once, for fresh tokens.
    refresh_token: String,
    /// How long the session lasts at most, in seconds.
    refresh_expires_in: i64,
    username: String,
    /// Null for somebody who is a member of no tenant, or of several and named none.
    tenant_id: Option<TenantId>,
    role: Option<Role>,
}

impl From<LoggedIn> for TokenSet {
    fn from(logged_in: LoggedIn) -> Self {
        let LoggedIn { user, tenant, access_token, refresh_token } = logged_in;
        let (tenant_id, role) = tenant.unzip();
        Self {
            access_token,
            token_type: "Bearer",
            expires_in: OwnTokens::LIFE.num_seconds(),
            refresh_token,
            refresh_expires_in: Accounts::SESSION_LIFE.num_seconds(),
            username: user.as_str().to_owned(),
            tenant_id,
            role,
        }
    }
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Me {
    pub(super) actor: Actor,
    /// Whether they run the installation.
    pub(super) operator: bool,
    /// The tenant that the credentials are for.
    pub(super) tenant_id: Option<TenantId>,
    /// What the credentials are in the tenant.
    pub(super) role: Option<Role>,
    /// The only knowledge base that the credentials reach.
    pub(super) kb_id: Option<KbId>,
    /// Every tenant that they are a member of.
    pub(super) memberships: Vec<MembershipView>,
}

/// What somebody is in a tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Membership")]
pub(super) struct MembershipView {
    tenant_id: TenantId,
    tenant_name: String,
    role: Role,
}

impl From<Membership> for MembershipView {
    fn from(of: Membership) -> Self {
        let Membership { tenant, tenant_name, role, .. } = of;
        Self { tenant_id: tenant, tenant_name, role }
    }
}
