//! Members of a tenant: list, show, add, change, remove.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Identity, Provider, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Member, MemberAdded, MemberChange};

use super::parameters::{page_after, page_limit, parameter};
use crate::answer::Versioned;
use crate::problem::{Code, Problem};
use crate::request::{IfMatch, Json, ManageMembers, Query, TenantCaller, TenantOperator};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those of this role.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/members`: a page of members, by identity.
pub(super) async fn list(
    who: TenantCaller<ManageMembers>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<MemberPage>, Problem> {
    let role: Option<Role> = parameter("role", asked.role.as_deref())?;
    let after: Option<Identity> = page_after(asked.after.as_deref())?;
    let page =
        who.stores.catalog().members(role, after.as_ref(), page_limit(asked.limit.as_deref())?).await?;
    let members = page.items.into_iter().map(MemberView::from).collect();
    Ok(JsonAnswer(MemberPage { members, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(with = "Identity")]
    identity: String,
}

impl Named {
    fn identity(&self) -> Result<Identity, Problem> {
        self.identity.parse().map_err(|_| Problem::not_found())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedMember {
    #[schemars(with = "Role")]
    role: String,
}

/// `PUT …/members/{identity}`: the operator vouches for the person, who needs no invitation.
pub(super) async fn put(
    State(app): State<ApiState>,
    who: TenantOperator,
    Path(named): Path<Named>,
    Json(placed): Json<PlacedMember>,
) -> Result<Versioned<MemberView>, Problem> {
    let (catalog, tenant) = (who.stores.catalog(), who.context.tenant_id());
    let identity = named.identity()?;
    if *identity.provider() == Provider::Legacy {
        return Err(Problem::not_found());
    }
    // Without the account, the membership would go to the first person who takes the name.
    if let Some(name) = identity.account()
        && !app.accounts().exists(name).await?
    {
        let detail = "there is no account of this name: invite the person, who can make it";
        return Err(Problem::new(Code::NotFound, detail));
    }
    let role = role(&placed.role)?;
    let (now, maximum) = (app.clock().now(), app.limits_of(tenant).await?.maximum(Quota::Members));
    let member = match catalog.member_insert(&identity, role, maximum, now).await? {
        MemberAdded::New(member) => member,
        MemberAdded::Known => done(catalog.member_role_put(&identity, role, None).await?)?,
        MemberAdded::OverQuota(over) => return Err(Problem::over_quota(&over, now)),
    };
    app.directory().invalidate(tenant).await;
    Ok(shown(member))
}

/// `GET …/members/{identity}`
pub(super) async fn show(
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
) -> Result<Versioned<MemberView>, Problem> {
    let member = who.stores.catalog().member(&named.identity()?).await?;
    member.map(shown).ok_or_else(Problem::not_found)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberChange")]
pub(super) struct Change {
    #[schemars(with = "Role")]
    role: String,
}

/// `PATCH …/members/{identity}`: another role.
pub(super) async fn change(
    State(app): State<ApiState>,
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(change): Json<Change>,
) -> Result<Versioned<MemberView>, Problem> {
    let (catalog, identity) = (who.stores.catalog(), named.identity()?);
    let role = role(&change.role)?;
    let found = catalog.member(&identity).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    who.may_give(role.permissions())?;
    let member = done(catalog.member_role_put(&identity, role, revision).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(shown(member))
}

/// `DELETE …/members/{identity}`
pub(super) async fn remove(
    State(app): State<ApiState>,
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let (catalog, identity) = (who.stores.catalog(), named.identity()?);
    let found = catalog.member(&identity).await?.ok_or_else(Problem::not_found)?;
    let revision = if_match.expect(found.revision)?;
    done(catalog.member_remove(&identity, revision, app.clock().now()).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(NoContent)
}

pub(super) fn role(name: &str) -> Result<Role, Problem> {
    name.parse().map_err(|error| Problem::new(Code::InvalidField, format!("{error}")).field("role"))
}

fn done(change: MemberChange) -> Result<Member, Problem> {
    match change {
        MemberChange::Done(member) => Ok(member),
        MemberChange::Unknown => Err(Problem::not_found()),
        MemberChange::Stale => Err(IfMatch::failed()),
        MemberChange::LastAdmin => {
            let detail = "a tenant keeps at least one ADMIN: make another member ADMIN first";
            Err(Problem::new(Code::LastAdmin, detail))
        }
    }
}

fn shown(member: Member) -> Versioned<MemberView> {
    Versioned { revision: member.revision, body: member.into() }
}

/// A member of the tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub(super) struct MemberView {
    /// Names the member, in paths too: there with `/` and `#` encoded.
    identity: Identity,
    /// The name within that: an account's, or the `sub` of tokens.
    subject: String,
    role: Role,
    revision: u64,
    created_at: DateTime<Utc>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { identity, role, revision, created_at } = member;
        Self { subject: identity.subject().to_owned(), identity, role, revision, created_at }
    }
}

/// Members, by identity.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MemberPage {
    members: Vec<MemberView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
