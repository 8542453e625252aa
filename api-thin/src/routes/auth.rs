use axum::Json as Answering;
use axum::extract::State;
use axum::http::StatusCode;
use jobs::tenant::{Actor, TenantId};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use stores::model::{Membership, UserName};

use crate::accounts::{Accounts, ClientAddress, Credentials, LoggedIn};
use crate::auth::{Identity, OwnTokens};
use crate::extract::{Json, Somebody};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    username: String,
    password: SecretString,
    tenant_id: Option<TenantId>,
}

/// `POST /api/v1/auth/login`
pub(super) async fn log_in(
    State(app): State<ApiState>,
    from: ClientAddress,
    Json(body): Json<LogIn>,
) -> Result<Answering<Value>, Problem> {
    let LogIn { username, password, tenant_id } = body;
    let credentials = Credentials { username, password, tenant: tenant_id };
    let logged_in = app.accounts().log_in(credentials, from).await?;
    Ok(Answering(shown(&logged_in)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: String,
}

/// `POST /api/v1/auth/refresh`
pub(super) async fn refresh(
    State(app): State<ApiState>,
    Json(body): Json<Refresh>,
) -> Result<Answering<Value>, Problem> {
    Ok(Answering(shown(&app.accounts().renew(&body.refresh_token).await?)))
}

fn shown(logged_in: &LoggedIn) -> Value {
    let LoggedIn { user, tenant, access_token, refresh_token } = logged_in;
    json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": OwnTokens::LIFE.num_seconds(),
        "refresh_token": refresh_token,
        "refresh_expires_in": Accounts::SESSION_LIFE.num_seconds(),
        "username": user.as_str(),
        "tenant_id": tenant.as_ref().map(|(tenant, _)| tenant),
        "role": tenant.as_ref().map(|(_, role)| role),
    })
}

/// `POST /api/v1/auth/logout`
pub(super) async fn log_out(State(app): State<ApiState>, who: Somebody) -> Result<StatusCode, Problem> {
    let session = match who.0 {
        Identity::Member(member) => member.session,
        Identity::SuperAdmin(who) => who.session,
        Identity::Operator => None,
    };
    let session = session
        .ok_or_else(|| Problem::new(Code::Forbidden, "these credentials do not come from a log-in"))?;
    app.accounts().log_out(session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/auth/me`
pub(super) async fn me(State(app): State<ApiState>, who: Somebody) -> Result<Answering<Value>, Problem> {
    let operator = who.0.is_operator();
    let (actor, member) = match who.0 {
        Identity::Operator => (Actor::Operator, None),
        Identity::Member(member) => (member.actor.clone(), Some(member)),
        Identity::SuperAdmin(who) => (Actor::User(who.user.as_str().into()), who.member),
    };
    let memberships = match &actor {
        Actor::User(subject) => memberships(&app, subject).await?,
        _ => Vec::new(),
    };
    Ok(Answering(json!({
        "actor": actor,
        "operator": operator,
        "tenant_id": member.as_ref().map(|member| &member.tenant),
        "role": member.as_ref().map(|member| member.role),
        "kb_id": member.as_ref().and_then(|member| member.kb.as_ref()),
        "memberships": memberships.iter().map(membership).collect::<Vec<_>>(),
    })))
}

async fn memberships(app: &ApiState, subject: &str) -> Result<Vec<Membership>, Problem> {
    match subject.parse::<UserName>() {
        Ok(name) if name.as_str() == subject => Ok(app.accounts().memberships(&name).await?),
        _ => Ok(Vec::new()),
    }
}

fn membership(of: &Membership) -> Value {
    json!({ "tenant_id": of.tenant, "tenant_name": of.tenant_name, "role": of.role })
}
