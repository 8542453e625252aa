use axum::Json as Answering;
use axum::extract::State;
use axum::response::NoContent;
use jobs::tenant::{Actor, Identity, TenantId};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use stores::model::UserName;
use uuid::Uuid;

use super::auth_view::{Me, MembershipView, TokenSet};
use super::text::invalid;
use crate::accounts::{ClientAddress, Credentials, Passwords};
use crate::auth::{Member, Principal, SuperAdmin};
use crate::extract::{Json, Somebody};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

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
) -> Result<Answering<TokenSet>, Problem> {
    let LogIn { username, password, tenant_id } = body;
    let credentials = Credentials { username, password, tenant: tenant_id };
    let logged_in = app.accounts().log_in(credentials, from).await?;
    Ok(Answering(logged_in.into()))
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
) -> Result<Answering<TokenSet>, Problem> {
    Ok(Answering(app.accounts().renew(&body.refresh_token).await?.into()))
}

/// `POST /api/v1/auth/logout`
pub(super) async fn log_out(State(app): State<ApiState>, who: Somebody) -> Result<NoContent, Problem> {
    let (_, session) = logged_in(who)?;
    app.accounts().log_out(session).await?;
    Ok(NoContent)
}

/// Who asks, and the session of their log-in.
fn logged_in(who: Somebody) -> Result<(UserName, Uuid), Problem> {
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
    who: Somebody,
    Json(PasswordChange { current_password, new_password }): Json<PasswordChange>,
) -> Result<NoContent, Problem> {
    let (user, session) = logged_in(who)?;
    Passwords::check(&new_password).map_err(|error| invalid("new_password", error.to_string()))?;
    app.accounts().change_password((&user, session), (current_password, new_password), from).await?;
    Ok(NoContent)
}

/// `GET /api/v1/auth/me`
pub(super) async fn me(State(app): State<ApiState>, who: Somebody) -> Result<Answering<Me>, Problem> {
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
    Ok(Answering(Me {
        actor,
        operator,
        tenant_id: member.as_ref().map(|member| member.tenant.clone()),
        role: member.as_ref().map(|member| member.role),
        kb_id: member.and_then(|member| member.kb),
        memberships: memberships.into_iter().map(MembershipView::from).collect(),
    }))
}
