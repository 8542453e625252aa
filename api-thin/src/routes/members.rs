use axum::Json as Answering;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::plan::Quota;
use jobs::tenant::{Role, Subject, TenantId};
use serde::Deserialize;
use serde_json::{Value, json};
use stores::model::{Member, MemberAdded, MemberChange};

use super::page::{page_after, page_limit, parameter};
use super::versioned::Versioned;
use crate::extract::{IfMatch, Json, ManageMembers, Query, TenantCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    role: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

/// `GET …/members`: a page of members, by subject.
pub(super) async fn list(
    TenantCaller(who): TenantCaller<ManageMembers>,
    Query(asked): Query<Listing>,
) -> Result<Answering<Value>, Problem> {
    let role: Option<Role> = parameter("role", asked.role.as_deref())?;
    let after: Option<Subject> = page_after(asked.after.as_deref())?;
    let page = who.stores.catalog().members(role, after.as_ref(), page_limit(asked.limit)?).await?;
    let members: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Answering(json!({ "members": members, "next": page.next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    subject: String,
    role: String,
}

/// `POST …/members`
pub(super) async fn add(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Json(new): Json<NewMember>,
) -> Result<Response, Problem> {
    let subject: Subject = new
        .subject
        .to_ascii_lowercase()
        .parse()
        .map_err(|error| Problem::new(Code::InvalidField, format!("{error}")).field("subject"))?;
    let role = role(&new.role)?;
    who.may_give(role.permissions())?;
    let (now, maximum) = (app.clock().now(), app.limits_of(who.tenant()).await?.maximum(Quota::Members));
    let member = match who.stores.catalog().member_insert(&subject, role, maximum, now).await? {
        MemberAdded::New(member) => member,
        MemberAdded::Known => {
            let detail = "they are a member already: change their role with PATCH";
            return Err(Problem::new(Code::MemberExists, detail).field("subject"));
        }
        MemberAdded::OverQuota(over) => return Err(Problem::over_quota(&over, now)),
    };
    app.directory().invalidate(who.tenant()).await;
    let location = [(header::LOCATION, location(who.tenant(), &subject))];
    Ok((StatusCode::CREATED, location, shown(&member)).into_response())
}

#[derive(Deserialize)]
pub(super) struct Named {
    subject: String,
}

impl Named {
    fn subject(&self) -> Result<Subject, Problem> {
        self.subject.to_ascii_lowercase().parse().map_err(|_| Problem::not_found())
    }
}

/// `GET …/members/{subject}`
pub(super) async fn show(
    TenantCaller(who): TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
) -> Result<Versioned, Problem> {
    let member = who.stores.catalog().member(&named.subject()?).await?;
    member.as_ref().map(shown).ok_or_else(Problem::not_found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    role: String,
}

/// `PATCH …/members/{subject}`: another role.
pub(super) async fn change(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(change): Json<Change>,
) -> Result<Versioned, Problem> {
    let (catalog, subject) = (who.stores.catalog(), named.subject()?);
    let role = role(&change.role)?;
    let found = catalog.member(&subject).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    who.may_give(role.permissions())?;
    let member = done(catalog.member_role_put(&subject, role, revision).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(shown(&member))
}

/// `DELETE …/members/{subject}`
pub(super) async fn remove(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let (catalog, subject) = (who.stores.catalog(), named.subject()?);
    let found = catalog.member(&subject).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    done(catalog.member_remove(&subject, revision, app.clock().now()).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(StatusCode::NO_CONTENT)
}

fn role(name: &str) -> Result<Role, Problem> {
    name.parse().map_err(|error| Problem::new(Code::InvalidField, format!("{error}")).field("role"))
}

fn done(change: MemberChange) -> Result<Member, Problem> {
    match change {
        MemberChange::Done(member) => Ok(member),
        MemberChange::Unknown => Err(Problem::not_found()),
        MemberChange::Stale => Err(IfMatch::failed()),
        MemberChange::LastAdmin => {
            let detail = "a tenant keeps at least one ADMIN: make somebody else ADMIN first";
            Err(Problem::new(Code::LastAdmin, detail))
        }
    }
}

fn location(tenant: &TenantId, subject: &Subject) -> String {
    format!("/api/v1/tenants/{tenant}/members/{subject}")
}

fn shown(member: &Member) -> Versioned {
    Versioned { revision: member.revision, body: view(member) }
}

fn view(member: &Member) -> Value {
    json!({
        "subject": member.subject,
        "role": member.role,
        "revision": member.revision,
        "created_at": member.created_at,
    })
}
