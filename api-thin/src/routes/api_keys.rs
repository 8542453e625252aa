//! API keys of a tenant: list, create, show, change, revoke, rotate.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use jobs::tenant::{ApiKeyId, KbId, Permission, Permissions, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stores::model::{ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, KeyEnd, NewApiKey};

use super::parameters::{Paging, invalid_field, page_after, page_limit, present, text};
use crate::answer::{Created, Secret, Versioned};
use crate::auth::ApiKey;
use crate::problem::{Code, Problem};
use crate::request::{IfMatch, Json, ManageTenant, OptionalJson, Query, TenantCaller};
use crate::state::ApiState;

/// The longest name, in characters.
const NAME_MAX: usize = 100;
/// How long an old secret may go on to work.
const GRACE_MAX_S: u32 = 24 * 60 * 60;

/// `GET …/api-keys`: a page of keys, by id.
pub(super) async fn list(
    who: TenantCaller<ManageTenant>,
    Query(asked): Query<Paging>,
) -> Result<JsonAnswer<ApiKeyPage>, Problem> {
    let after: Option<ApiKeyId> = page_after(asked.after.as_deref())?;
    let page = who.stores.catalog().api_keys(after.as_ref(), page_limit(asked.limit.as_deref())?).await?;
    let api_keys = page.items.into_iter().map(ApiKeyView::from).collect();
    Ok(JsonAnswer(ApiKeyPage { api_keys, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewApiKey")]
pub(super) struct Wanted {
    /// 1 to 100 printable characters; no other key of the tenant has it.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// EDITOR by default.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// The only knowledge base that the key reaches; all of them by default.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// What of its role the key may do; all of it by default.
    #[schemars(with = "Option<Vec<Permission>>")]
    permissions: Option<Vec<String>>,
    /// When it expires; never by default.
    #[schemars(with = "Option<DateTime<Utc>>")]
    expires_at: Option<String>,
}

/// `POST …/api-keys`: the secret is in this answer and nowhere else.
pub(super) async fn create(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Json(wanted): Json<Wanted>,
) -> Result<Secret<Created<NewApiKeyView>>, Problem> {
    let now = app.clock().now().trunc_subsecs(6);
    let key = ApiKey::fresh(who.tenant());
    let new = new_key(&who, wanted, &key, now).await?;
    let limits = who.limits(&app).await?;
    let row = match who.stores.catalog().api_key_insert(&new, &limits, now).await? {
        ApiKeyMade::Done(row) => row,
        ApiKeyMade::NameTaken => return Err(name_taken()),
        ApiKeyMade::OverQuota(over) => return Err(Problem::over_quota(&over, now)),
    };
    app.directory().invalidate(who.tenant()).await;
    let location = format!("/api/v1/tenants/{}/api-keys/{}", who.tenant(), row.id);
    Ok(Secret(Created { location, thing: with_secret(row, &key) }))
}

async fn new_key(
    who: &TenantCaller<ManageTenant>,
    wanted: Wanted,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<NewApiKey, Problem> {
    let name = text("name", wanted.name, NAME_MAX)?;
    let role = wanted.role.as_deref().map_or(Ok(Role::Editor), Role::called);
    let role: Role = role.map_err(|error| invalid_field("role", format!("{error}")))?;
    let permissions = wanted.permissions.map(|list| scope(role, &list)).transpose()?;
    let expires_at = wanted.expires_at.map(|text| expiry(&text, now)).transpose()?;
    who.may_give(permissions.unwrap_or(role.permissions()))?;
    let kb_id = match wanted.kb_id {
        Some(kb) => Some(existing_kb(who, &kb).await?),
        None => None,
    };
    Ok(NewApiKey {
        id: key.id.clone(),
        name,
        secret_sha256: key.secret_hash().to_hex(),
        role,
        kb_id,
        permissions,
        created_by: Some(who.context.actor().to_string()),
        expires_at,
    })
}

/// The permissions of a key with `role` for which `names` were requested.
fn scope(role: Role, names: &[String]) -> Result<Permissions, Problem> {
    let listed = names.iter().map(|name| name.parse::<Permission>());
    let listed: Permissions = listed.collect::<Result<_, _>>().map_err(|_| {
        let known = Permission::ALL.iter().map(|permission| permission.as_str());
        invalid_field("permissions", format!("expected some of {}", known.collect::<Vec<_>>().join(", ")))
    })?;
    if listed == Permissions::NONE {
        return Err(invalid_field("permissions", "expected at least one permission".to_owned()));
    }
    match role.permissions().lacking(listed) {
        Some(lacking) => {
            let problem = format!(
                "{lacking} is none of what the role {role} allows: leave it out, or choose another role"
            );
            Err(invalid_field("permissions", problem))
        }
        None => Ok(listed),
    }
}

fn expiry(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let at = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc().trunc_subsecs(6));
    at.filter(|at| *at > now).ok_or_else(|| {
        let problem = "expected a moment to come, such as 2030-01-01T00:00:00Z";
        invalid_field("expires_at", problem.to_owned())
    })
}

async fn existing_kb(who: &TenantCaller<ManageTenant>, name: &str) -> Result<KbId, Problem> {
    let kb: Option<KbId> = name.parse().ok();
    let known = match &kb {
        Some(kb) => who.stores.catalog().kb(kb).await?.is_some(),
        None => false,
    };
    let unknown = || invalid_field("kb_id", "there is no such knowledge base".to_owned());
    kb.filter(|_| known).ok_or_else(unknown)
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(with = "ApiKeyId")]
    key: String,
}

/// The caller's tenant's key that the path names.
async fn found(who: &TenantCaller<ManageTenant>, named: &Named) -> Result<ApiKeyRow, Problem> {
    let id: ApiKeyId = named.key.parse().map_err(|_| Problem::not_found())?;
    who.stores.catalog().api_key(&id).await?.ok_or_else(Problem::not_found)
}

/// `GET …/api-keys/{key}`
pub(super) async fn show(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<Versioned<ApiKeyView>, Problem> {
    found(&who, &named).await.map(shown)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyChange")]
pub(super) struct Change {
    /// Display name, 1 to 100 printable characters: no two keys of the tenant have one name.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// When it expires; null for never. Extending an expired key makes it valid again.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<DateTime<Utc>>")]
    expires_at: Option<Value>,
}

/// `PATCH …/api-keys/{key}`: another name, another end.
pub(super) async fn edit(
    app: State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(Change { name, expires_at }): Json<Change>,
) -> Result<Versioned<ApiKeyView>, Problem> {
    let name = name.map(|name| text("name", name, NAME_MAX)).transpose()?;
    let end = expires_at.map(|wanted| another_end(&wanted, app.clock().now())).transpose()?;
    let row = found(&who, &named).await?;
    if end.is_some() {
        // Extending a key grants its permissions once more.
        who.may_give(row.permissions)?;
    }
    let edit = ApiKeyEdit::Details { name, end };
    change(&app, &who, &row, &if_match, &edit).await.map(shown)
}

/// `null` is never.
fn another_end(wanted: &Value, now: DateTime<Utc>) -> Result<KeyEnd, Problem> {
    if wanted.is_null() {
        return Ok(KeyEnd::Never);
    }
    expiry(wanted.as_str().unwrap_or_default(), now).map(KeyEnd::At)
}

/// `DELETE …/api-keys/{key}`: it is not valid any more.
pub(super) async fn revoke(
    app: State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let row = found(&who, &named).await?;
    let edit = ApiKeyEdit::Revoked(app.clock().now());
    change(&app, &who, &row, &if_match, &edit).await.map(|_| NoContent)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyRotation")]
pub(super) struct Rotation {
    /// For how many seconds the old secret goes on to work: 0 to 86400, 0 by default.
    #[schemars(range(min = 0, max = 86_400))]
    grace_s: Option<u32>,
}

/// `POST …/api-keys/{key}/rotate`: another secret for the same key.
pub(super) async fn rotate(
    app: State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    OptionalJson(Rotation { grace_s }): OptionalJson<Rotation>,
) -> Result<Secret<Versioned<NewApiKeyView>>, Problem> {
    let grace_s = grace_s.unwrap_or(0);
    if grace_s > GRACE_MAX_S {
        return Err(invalid_field("grace_s", format!("expected 0 to {GRACE_MAX_S} seconds")));
    }
    let row = found(&who, &named).await?;
    // The receiver of the secret may do what the key may do.
    who.may_give(row.permissions)?;
    if row.expires_at.is_some_and(|at| at <= app.clock().now()) {
        let detail = "the key has expired, and its next secret with it: give it another expires_at first";
        return Err(Problem::new(Code::ApiKeyExpired, detail));
    }
    let key = ApiKey::with_fresh_secret(who.tenant(), row.id.clone());
    let until = app.clock().now().trunc_subsecs(6) + TimeDelta::seconds(grace_s.into());
    let edit = ApiKeyEdit::Secret {
        sha256: key.secret_hash().to_hex(),
        previous_until: (grace_s > 0).then_some(until),
    };
    let row = change(&app, &who, &row, &if_match, &edit).await?;
    Ok(Secret(with_secret(row, &key)))
}

async fn change(
    app: &ApiState,
    who: &TenantCaller<ManageTenant>,
    row: &ApiKeyRow,
    if_match: &IfMatch,
    edit: &ApiKeyEdit,
) -> Result<ApiKeyRow, Problem> {
    let revision = if_match.expect(row.revision)?;
    match who.stores.catalog().api_key_change(&row.id, edit, revision).await? {
        ApiKeyChange::Done(row) => {
            app.directory().invalidate(who.tenant()).await;
            Ok(row)
        }
        ApiKeyChange::Unknown => Err(Problem::not_found()),
        ApiKeyChange::Stale => Err(IfMatch::failed()),
        ApiKeyChange::NameTaken => Err(name_taken()),
    }
}

fn name_taken() -> Problem {
    let detail = "another API key has this name: choose another, or rotate that key for a new secret";
    Problem::new(Code::ApiKeyExists, detail).field("name")
}

fn shown(row: ApiKeyRow) -> Versioned<ApiKeyView> {
    Versioned { revision: row.revision, body: row.into() }
}

fn with_secret(row: ApiKeyRow, key: &ApiKey) -> Versioned<NewApiKeyView> {
    let Versioned { revision, body } = shown(row);
    Versioned { revision, body: NewApiKeyView { key: body, api_key: key.reveal() } }
}

/// An API key, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(super) struct ApiKeyView {
    id: ApiKeyId,
    name: String,
    role: Role,
    /// The only knowledge base that it reaches; null for all of them.
    kb_id: Option<KbId>,
    /// Its permissions.
    permissions: Vec<Permission>,
    /// The actor that created it.
    created_by: Option<String>,
    revision: u64,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// Written down once a minute.
    last_used_at: Option<DateTime<Utc>>,
    /// How long the secret before this one goes on to work.
    previous_until: Option<DateTime<Utc>>,
}

impl From<ApiKeyRow> for ApiKeyView {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            kb_id: row.kb_id,
            permissions: row.permissions.iter().collect(),
            created_by: row.created_by,
            revision: row.revision,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            previous_until: row.previous_until,
        }
    }
}

/// An API key with its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyWithSecret")]
pub(super) struct NewApiKeyView {
    #[serde(flatten)]
    pub(super) key: ApiKeyView,
    /// The API key. Shown here and nowhere else.
    pub(super) api_key: String,
}

/// API keys, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ApiKeyPage {
    pub(super) api_keys: Vec<ApiKeyView>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}
