use axum::Json as Answering;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Role, Subject, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Member, MemberAdded, MemberChange};

use super::page::{page_after, page_limit, parameter};
use super::versioned::{Created, Versioned};
use crate::extract::{IfMatch, Json, ManageMembers, Query, TenantCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those of this role.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

/// `GET …/members`: a page of members, by subject.
pub(super) async fn list(
    TenantCaller(who): TenantCaller<ManageMembers>,
    Query(asked): Query<Listing>,
) -> Result<Answering<MemberPage>, Problem> {
    let role: Option<Role> = parameter("role", asked.role.as_deref())?;
    let after: Option<Subject> = page_after(asked.after.as_deref())?;
    let page = who.stores.catalog().members(role, after.as_ref(), page_limit(asked.limit)?).await?;
    let members = page.items.into_iter().map(MemberView::from).collect();
    Ok(Answering(MemberPage { members, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    /// The `sub` claim of their tokens.
    #[schemars(with = "Subject")]
    subject: String,
    #[schemars(with = "Role")]
    role: String,
}

/// `POST …/members`
pub(super) async fn add(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Json(new): Json<NewMember>,
) -> Result<Created<MemberView>, Problem> {
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
    Ok(Created { location: location(who.tenant(), &subject), thing: shown(member) })
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(with = "Subject")]
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
) -> Result<Versioned<MemberView>, Problem> {
    let member = who.stores.catalog().member(&named.subject()?).await?;
    member.map(shown).ok_or_else(Problem::not_found)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberChange")]
pub(super) struct Change {
    #[schemars(with = "Role")]
    role: String,
}

/// `PATCH …/members/{subject}`: another role.
pub(super) async fn change(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(change): Json<Change>,
) -> Result<Versioned<MemberView>, Problem> {
    let (catalog, subject) = (who.stores.catalog(), named.subject()?);
    let role = role(&change.role)?;
    let found = catalog.member(&subject).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    who.may_give(role.permissions())?;
    let member = done(catalog.member_role_put(&subject, role, revision).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(shown(member))
}

/// `DELETE …/members/{subject}`
pub(super) async fn remove(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let (catalog, subject) = (who.stores.catalog(), named.subject()?);
    let found = catalog.member(&subject).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    done(catalog.member_remove(&subject, revision, app.clock().now()).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(NoContent)
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

fn shown(member: Member) -> Versioned<MemberView> {
    Versioned { revision: member.revision, body: member.into() }
}

/// A member of the tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub(super) struct MemberView {
    subject: Subject,
    role: Role,
    revision: u64,
    created_at: DateTime<Utc>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { subject, role, revision, created_at, .. } = member;
        Self { subject, role, revision, created_at }
    }
}

/// Members, by subject.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MemberPage {
    members: Vec<MemberView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
