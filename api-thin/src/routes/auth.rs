//! Log-in, refresh, log-out, another password, and whom credentials are for.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::response::NoContent;
use jobs::tenant::{Actor, Identity, KbId, Role, TenantId};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use stores::model::{Membership, UserName};
use uuid::Uuid;

use super::parameters::invalid_field;
use crate::accounts::{Accounts, Credentials, LoggedIn, Passwords};
use crate::auth::{Member, OwnTokens, Principal, SuperAdmin};
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};
use crate::request::{AuthenticatedCaller, Json};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    username: String,
    #[schemars(with = "String")]
    password: SecretString,
    /// For which tenant; not needed by a member of one tenant only.
    tenant_id: Option<TenantId>,
}

/// `POST /api/v1/auth/login`
pub(super) async fn log_in(
    State(app): State<ApiState>,
    from: ClientAddress,
    Json(body): Json<LogIn>,
) -> Result<JsonAnswer<TokenSet>, Problem> {
    let LogIn { username, password, tenant_id } = body;
    let credentials = Credentials { username, password, tenant: tenant_id };
    let logged_in = app.accounts().log_in(credentials, from).await?;
    Ok(JsonAnswer(logged_in.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: String,
}

/// `POST /api/v1/auth/refresh`
pub(super) async fn refresh(
    State(app): State<ApiState>,
    Json(body): Json<Refresh>,
) -> Result<JsonAnswer<TokenSet>, Problem> {
    Ok(JsonAnswer(app.accounts().renew(&body.refresh_token).await?.into()))
}

/// `POST /api/v1/auth/logout`
pub(super) async fn log_out(
    State(app): State<ApiState>,
    who: AuthenticatedCaller,
) -> Result<NoContent, Problem> {
    let (_, session) = logged_in(who)?;
    app.accounts().log_out(session).await?;
    Ok(NoContent)
}

/// The user, and the session of their log-in.
fn logged_in(who: AuthenticatedCaller) -> Result<(UserName, Uuid), Problem> {
    let found = match who.0 {
        Principal::Member(Member { actor: Actor::User(identity), session, .. })
        | Principal::SuperAdmin(SuperAdmin { identity, session, .. }) => account(&identity).zip(session),
        Principal::Member(_) | Principal::Operator => None,
    };
    found.ok_or_else(|| Problem::new(Code::Forbidden, "these credentials do not come from a log-in"))
}

fn account(identity: &Identity) -> Option<UserName> {
    identity.account().and_then(|name| name.parse().ok())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The one of now.
    #[schemars(with = "String")]
    current_password: SecretString,
    /// The one from now on: 8 to 256 characters.
    #[schemars(with = "String")]
    new_password: SecretString,
}

/// `POST /api/v1/auth/password`: another password. The user's other sessions end.
pub(super) async fn change_password(
    State(app): State<ApiState>,
    from: ClientAddress,
    who: AuthenticatedCaller,
    Json(PasswordChange { current_password, new_password }): Json<PasswordChange>,
) -> Result<NoContent, Problem> {
    let (user, session) = logged_in(who)?;
    Passwords::check(&new_password).map_err(|error| invalid_field("new_password", error.to_string()))?;
    app.accounts().change_password((&user, session), (current_password, new_password), from).await?;
    Ok(NoContent)
}

/// `GET /api/v1/auth/me`
pub(super) async fn me(
    State(app): State<ApiState>,
    who: AuthenticatedCaller,
) -> Result<JsonAnswer<Me>, Problem> {
    let operator = who.0.is_operator();
    let (actor, member) = match who.0 {
        Principal::Operator => (Actor::Operator, None),
        Principal::Member(member) => (member.actor.clone(), Some(member)),
        Principal::SuperAdmin(who) => (Actor::User(who.identity), who.member),
    };
    let memberships = match &actor {
        Actor::User(identity) => app.accounts().memberships(identity).await?,
        _ => Vec::new(),
    };
    Ok(JsonAnswer(Me {
        actor,
        operator,
        tenant_id: member.as_ref().map(|member| member.tenant.clone()),
        role: member.as_ref().map(|member| member.role),
        kb_id: member.and_then(|member| member.kb),
        memberships: memberships.into_iter().map(MembershipView::from).collect(),
    }))
}

/// The tokens of a session (RFC 6749, 5.1).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenSet {
    access_token: String,
    /// `Bearer`.
    #[schemars(with = "super::enumerations::TokenType")]
    token_type: &'static str,
    /// Lifetime of the access token, in seconds.
    expires_in: i64,
    /// Can be used once, for new tokens.
    refresh_token: String,
    /// How long the session lasts at most, in seconds.
    refresh_expires_in: i64,
    username: String,
    /// Null for a user who is a member of no tenant, or of several and named none.
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

/// Whom the credentials are for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Me {
    pub(super) actor: Actor,
    /// Whether they run the installation.
    pub(super) operator: bool,
    /// The tenant that the credentials are for.
    pub(super) tenant_id: Option<TenantId>,
    /// The role of the credentials in the tenant.
    pub(super) role: Option<Role>,
    /// The only knowledge base that the credentials reach.
    pub(super) kb_id: Option<KbId>,
    /// Every tenant that they are a member of.
    pub(super) memberships: Vec<MembershipView>,
}

/// A person's membership in a tenant.
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
