//! Members of a tenant: list, show, add, change, remove.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Identity, Provider, Role, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::Catalog;
use stores::model::{Member, MemberAdded, MemberChange, UserName};

use super::parameters::{
    NumberedPage, PageNumbers, invalid_field, invalid_parameter, page_after, page_limit,
};
use crate::answer::Versioned;
use crate::problem::{Code, Problem};
use crate::request::{AddMembers, IfMatch, Json, ManageMembers, Query, TenantCaller};
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
    /// In place of `after` and `limit`: the number of the page, 1 for the first.
    #[schemars(with = "Option<u32>", range(min = 1))]
    page: Option<String>,
    /// With `page`: how many to show, 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    page_size: Option<String>,
}

/// `GET …/members`: a page of members, by identity.
pub(super) async fn list(
    who: TenantCaller<ManageMembers>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<MemberPage>, Problem> {
    let role = asked.role.as_deref().map(Role::called).transpose();
    let role = role.map_err(|error| invalid_parameter("role", &error.to_string()))?;
    let (catalog, tenant) = (who.stores.catalog(), who.tenant());
    let view = |member| MemberView::of(member, tenant);
    let cursor = [asked.after.as_deref(), asked.limit.as_deref()];
    let numbered = NumberedPage::asked(asked.page.as_deref(), asked.page_size.as_deref(), cursor)?;
    if let Some(numbered) = numbered {
        let (found, total) = catalog.members_numbered(role, numbered.offset(), numbered.size).await?;
        let members = found.into_iter().map(view).collect();
        return Ok(JsonAnswer(MemberPage { members, next: None, numbers: Some(numbered.of(total)) }));
    }
    let after: Option<Identity> = page_after(asked.after.as_deref())?;
    let page = catalog.members(role, after.as_ref(), page_limit(asked.limit.as_deref())?).await?;
    let members = page.items.into_iter().map(view).collect();
    Ok(JsonAnswer(MemberPage { members, next: page.next, numbers: None }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    /// An identity, or the bare name of an account or of a person of the product.
    #[schemars(with = "String")]
    identity: String,
}

impl Named {
    async fn member(&self, catalog: &Catalog) -> Result<Member, Problem> {
        member_called(catalog, &self.identity).await?.ok_or_else(Problem::not_found)
    }
}

/// The member that a text means: an identity, or a bare name, which is an account's or a `sub` of the product.
///
/// # Errors
/// When two members have the bare name, or the catalog does not answer.
pub(super) async fn member_called(catalog: &Catalog, text: &str) -> Result<Option<Member>, Problem> {
    let mut found: Option<Member> = None;
    for identity in meant(text) {
        let Some(member) = catalog.member(&identity).await? else { continue };
        if let Some(other) = found.replace(member) {
            let detail = format!("two members are called so: name {} or {identity}", other.identity);
            return Err(invalid_field("identity", detail));
        }
    }
    Ok(found)
}

/// The identities that a text may mean.
fn meant(text: &str) -> Vec<Identity> {
    if text.contains(':') {
        return text.parse().into_iter().collect();
    }
    let account = text.parse::<UserName>().ok().map(|name| name.identity());
    // Whom issuer or product named before identities said which of them.
    let legacy = format!("user:{text}").parse().ok();
    [account, Identity::product(text).ok(), legacy].into_iter().flatten().collect()
}

/// The identity of a person who is to become a member: of a bare name the account, or else the person whom the product
/// calls so.
async fn newcomer(app: &ApiState, text: &str) -> Result<Identity, Problem> {
    if text.contains(':') {
        let identity: Identity = text.parse().map_err(|_| Problem::not_found())?;
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
        return Ok(identity);
    }
    if let Ok(account) = text.parse::<UserName>()
        && app.accounts().exists(account.as_str()).await?
    {
        return Ok(account.identity());
    }
    Identity::product(text).map_err(|_| Problem::not_found())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedMember {
    #[schemars(with = "Role")]
    role: String,
}

/// `PUT …/members/{identity}`: another role. A person who is no member becomes one if the operator puts them, who
/// vouches for people, so that they need no invitation.
pub(super) async fn put(
    State(app): State<ApiState>,
    who: TenantCaller<AddMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(placed): Json<PlacedMember>,
) -> Result<Versioned<MemberView>, Problem> {
    let catalog = who.stores.catalog();
    let found = member_called(&catalog, &named.identity).await?;
    if found.is_none() && !who.is_operator {
        return Err(Problem::not_found());
    }
    let identity = match &found {
        Some(member) => member.identity.clone(),
        None => newcomer(&app, &named.identity).await?,
    };
    let role = role(&placed.role)?;
    let revision = found.as_ref().map_or(Ok(None), |found| if_match.expect(found.revision))?;
    if !who.is_operator {
        who.may_give(role.permissions())?;
    }
    let member = if found.is_some() {
        done(catalog.member_role_put(&identity, role, revision).await?)?
    } else {
        match insert(&app, &who, &identity, role).await? {
            Some(member) => member,
            None => done(catalog.member_role_put(&identity, role, None).await?)?,
        }
    };
    app.directory().invalidate(who.tenant()).await;
    Ok(shown(member, who.tenant()))
}

/// `POST …/members` by the operator: the person becomes a member at once.
///
/// # Errors
/// When they are one already, or the tenant may have no more members.
pub(super) async fn add(
    app: &ApiState,
    who: &TenantCaller<AddMembers>,
    user_id: &str,
    role: Role,
) -> Result<MemberView, Problem> {
    if member_called(&who.stores.catalog(), user_id).await?.is_some() {
        return Err(exists());
    }
    let identity = newcomer(app, user_id).await.map_err(|problem| problem.field("user_id"))?;
    let member = insert(app, who, &identity, role).await?.ok_or_else(exists)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(MemberView::of(member, who.tenant()))
}

/// Returned where a person is to be added or invited who is a member.
pub(super) fn exists() -> Problem {
    Problem::new(Code::MemberExists, "the person is a member already: change the role with PUT")
        .field("user_id")
}

/// `None` when the person is a member already.
async fn insert(
    app: &ApiState,
    who: &TenantCaller<AddMembers>,
    identity: &Identity,
    role: Role,
) -> Result<Option<Member>, Problem> {
    let (now, maximum) = (app.clock().now(), who.limits(app).await?.maximum(Quota::Members));
    let by = who.context.actor().to_string();
    match who.stores.catalog().member_insert(identity, role, maximum, now, Some(&by)).await? {
        MemberAdded::New(member) => Ok(Some(member)),
        MemberAdded::Known => Ok(None),
        MemberAdded::OverQuota(over) => Err(Problem::over_quota(&over, now)),
    }
}

/// `GET …/members/{identity}`
pub(super) async fn show(
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
) -> Result<Versioned<MemberView>, Problem> {
    let member = named.member(&who.stores.catalog()).await?;
    Ok(shown(member, who.tenant()))
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
    let catalog = who.stores.catalog();
    let role = role(&change.role)?;
    let found = named.member(&catalog).await?;
    let revision = if_match.expect(found.revision)?;
    who.may_give(role.permissions())?;
    let member = done(catalog.member_role_put(&found.identity, role, revision).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(shown(member, who.tenant()))
}

/// `DELETE …/members/{identity}`
pub(super) async fn remove(
    State(app): State<ApiState>,
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let catalog = who.stores.catalog();
    let found = named.member(&catalog).await?;
    let revision = if_match.expect(found.revision)?;
    done(catalog.member_remove(&found.identity, revision, app.clock().now()).await?)?;
    app.directory().invalidate(who.tenant()).await;
    Ok(NoContent)
}

pub(super) fn role(name: &str) -> Result<Role, Problem> {
    Role::called(name).map_err(|error| Problem::new(Code::InvalidField, format!("{error}")).field("role"))
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

fn shown(member: Member, tenant: &TenantId) -> Versioned<MemberView> {
    Versioned { revision: member.revision, body: MemberView::of(member, tenant) }
}

/// URL of a member.
pub(super) fn location(tenant: &TenantId, identity: &Identity) -> String {
    let identity = identity.to_string();
    let encoded: String = form_urlencoded::byte_serialize(identity.as_bytes()).collect();
    format!("/api/v1/tenants/{tenant}/members/{}", encoded.replace('+', "%20"))
}

/// A name as clients send it that know no identities: bare where it is an account's or the product's.
fn user_id(identity: &Identity) -> String {
    match identity.provider() {
        Provider::Local | Provider::Product => identity.subject().to_owned(),
        Provider::Issuer(_) | Provider::Legacy => identity.to_string(),
    }
}

/// A member of the tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub(super) struct MemberView {
    /// Names the member, in paths too: there with `/` and `#` encoded.
    pub(super) identity: Identity,
    /// The name within that: an account's, or the `sub` of tokens.
    subject: String,
    /// The same, and the identity for members whom an issuer names. Paths take it too.
    user_id: String,
    tenant_id: TenantId,
    role: Role,
    /// `member`, where the answer could as well be an invitation.
    status: &'static str,
    pub(super) revision: u64,
    created_at: DateTime<Utc>,
    /// The same as `created_at`: when the person became a member, for the last time if they left meanwhile.
    joined_at: DateTime<Utc>,
    /// The actor that added or invited the person; null if that was not noted.
    created_by: Option<String>,
}

impl MemberView {
    fn of(member: Member, tenant: &TenantId) -> Self {
        let Member { identity, role, revision, created_at, created_by } = member;
        Self {
            subject: identity.subject().to_owned(),
            user_id: user_id(&identity),
            identity,
            tenant_id: tenant.clone(),
            role,
            status: "member",
            revision,
            created_at,
            joined_at: created_at,
            created_by,
        }
    }
}

/// Members, by identity.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MemberPage {
    members: Vec<MemberView>,
    /// Where the next page begins; null at the end, and for a page by number.
    next: Option<String>,
    #[serde(flatten)]
    numbers: Option<PageNumbers>,
}
