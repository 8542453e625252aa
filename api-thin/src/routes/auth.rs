use axum::Json as Answering;
use axum::extract::State;
use axum::response::NoContent;
use jobs::tenant::{Actor, TenantId};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use stores::model::{Membership, UserName};

use super::auth_view::{Me, MembershipView, TokenSet};
use crate::accounts::{ClientAddress, Credentials};
use crate::auth::Identity;
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
    let session = match who.0 {
        Identity::Member(member) => member.session,
        Identity::SuperAdmin(who) => who.session,
        Identity::Operator => None,
    };
    let session = session
        .ok_or_else(|| Problem::new(Code::Forbidden, "these credentials do not come from a log-in"))?;
    app.accounts().log_out(session).await?;
    Ok(NoContent)
}

/// `GET /api/v1/auth/me`
pub(super) async fn me(State(app): State<ApiState>, who: Somebody) -> Result<Answering<Me>, Problem> {
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
    Ok(Answering(Me {
        actor,
        operator,
        tenant_id: member.as_ref().map(|member| member.tenant.clone()),
        role: member.as_ref().map(|member| member.role),
        kb_id: member.and_then(|member| member.kb),
        memberships: memberships.into_iter().map(MembershipView::from).collect(),
    }))
}

async fn memberships(app: &ApiState, subject: &str) -> Result<Vec<Membership>, Problem> {
    match subject.parse::<UserName>() {
        Ok(name) if name.as_str() == subject => Ok(app.accounts().memberships(&name).await?),
        _ => Ok(Vec::new()),
    }
}
