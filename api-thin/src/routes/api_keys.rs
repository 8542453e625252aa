use axum::Json as Answering;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use jobs::tenant::{ApiKeyId, KbId, Permission, Permissions, Role};
use serde::Deserialize;
use serde_json::{Value, json};
use stores::model::{ApiKeyChange, ApiKeyEdit, ApiKeyRow, NewApiKey};

use super::page::{page_after, page_limit};
use super::text::{invalid as invalid_field, text};
use super::versioned::Versioned;
use crate::auth::ApiKey;
use crate::extract::{Caller, IfMatch, Json, ManageTenant, OptionalJson, Query, TenantCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The longest name, in characters.
const NAME_MAX: usize = 100;
/// How long an old secret may go on to work.
const GRACE_MAX_S: u32 = 24 * 60 * 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    after: Option<String>,
    limit: Option<u32>,
}

/// `GET …/api-keys`: a page of keys, by id.
pub(super) async fn list(
    TenantCaller(who): TenantCaller<ManageTenant>,
    Query(asked): Query<Listing>,
) -> Result<Answering<Value>, Problem> {
    let after: Option<ApiKeyId> = page_after(asked.after.as_deref())?;
    let page = who.stores.catalog().api_keys(after.as_ref(), page_limit(asked.limit)?).await?;
    let keys: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Answering(json!({ "api_keys": keys, "next": page.next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    role: Option<String>,
    kb_id: Option<String>,
    permissions: Option<Vec<String>>,
    expires_at: Option<String>,
}

/// `POST …/api-keys`: the secret is in this answer and nowhere else.
pub(super) async fn create(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let now = app.clock().now().trunc_subsecs(6);
    let key = ApiKey::fresh(who.tenant());
    let new = new_key(&who, wanted, &key, now).await?;
    let Some(row) = who.stores.catalog().api_key_insert(&new, now).await? else {
        return Err(name_taken());
    };
    app.directory().invalidate(who.tenant()).await;
    let location = format!("/api/v1/tenants/{}/api-keys/{}", who.tenant(), row.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], with_secret(&row, &key)).into_response())
}

async fn new_key(
    who: &Caller<ManageTenant>,
    wanted: Wanted,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<NewApiKey, Problem> {
    let name = text("name", wanted.name, NAME_MAX)?;
    let role = wanted.role.as_deref().map_or(Ok(Role::Editor), str::parse);
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

/// What of `role` a key may do whose maker listed `names`.
fn scope(role: Role, names: &[String]) -> Result<Permissions, Problem> {
    let listed = names.iter().map(|name| name.parse::<Permission>());
    let listed: Permissions = listed.collect::<Result<_, _>>().map_err(|_| {
        let known = Permission::ALL.iter().map(|permission| permission.as_str());
        invalid_field("permissions", format!("expected some of {}", known.collect::<Vec<_>>().join(", ")))
    })?;
    let allowed = listed.intersection(role.permissions());
    if allowed == Permissions::NONE {
        return Err(invalid_field("permissions", format!("a key of the role {role} could do none of these")));
    }
    Ok(allowed)
}

fn expiry(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let at = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc().trunc_subsecs(6));
    at.filter(|at| *at > now).ok_or_else(|| {
        let problem = "expected a moment to come, such as 2030-01-01T00:00:00Z";
        invalid_field("expires_at", problem.to_owned())
    })
}

async fn existing_kb(who: &Caller<ManageTenant>, name: &str) -> Result<KbId, Problem> {
    let kb: Option<KbId> = name.parse().ok();
    let known = match &kb {
        Some(kb) => who.stores.catalog().kb(kb).await?.is_some(),
        None => false,
    };
    let unknown = || invalid_field("kb_id", "there is no such knowledge base".to_owned());
    kb.filter(|_| known).ok_or_else(unknown)
}

#[derive(Deserialize)]
pub(super) struct Named {
    key: String,
}

/// The caller's tenant's key that the path names.
async fn found(who: &Caller<ManageTenant>, named: &Named) -> Result<ApiKeyRow, Problem> {
    let id: ApiKeyId = named.key.parse().map_err(|_| Problem::not_found())?;
    who.stores.catalog().api_key(&id).await?.ok_or_else(Problem::not_found)
}

/// `GET …/api-keys/{key}`
pub(super) async fn show(
    TenantCaller(who): TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<Versioned, Problem> {
    found(&who, &named).await.map(|row| shown(&row))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renamed {
    name: String,
}

/// `PATCH …/api-keys/{key}`: another name.
pub(super) async fn rename(
    app: State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(renamed): Json<Renamed>,
) -> Result<Versioned, Problem> {
    let name = text("name", renamed.name, NAME_MAX)?;
    let row = found(&who, &named).await?;
    change(&app, &who, &row, &if_match, &ApiKeyEdit::Name(name)).await.map(|row| shown(&row))
}

/// `DELETE …/api-keys/{key}`: it is worth nothing from now on.
pub(super) async fn revoke(
    app: State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let row = found(&who, &named).await?;
    let edit = ApiKeyEdit::Revoked(app.clock().now());
    change(&app, &who, &row, &if_match, &edit).await.map(|_| StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    grace_s: Option<u32>,
}

/// `POST …/api-keys/{key}/rotate`: another secret for the same key.
pub(super) async fn rotate(
    app: State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    OptionalJson(Rotation { grace_s }): OptionalJson<Rotation>,
) -> Result<Response, Problem> {
    let grace_s = grace_s.unwrap_or(0);
    if grace_s > GRACE_MAX_S {
        return Err(invalid_field("grace_s", format!("expected 0 to {GRACE_MAX_S} seconds")));
    }
    let row = found(&who, &named).await?;
    // Whoever gets the secret gets what the key may do.
    who.may_give(row.permissions)?;
    let key = ApiKey::with_fresh_secret(who.tenant(), row.id.clone());
    let until = app.clock().now().trunc_subsecs(6) + TimeDelta::seconds(grace_s.into());
    let edit = ApiKeyEdit::Secret {
        sha256: key.secret_hash().to_hex(),
        previous_until: (grace_s > 0).then_some(until),
    };
    let row = change(&app, &who, &row, &if_match, &edit).await?;
    Ok(with_secret(&row, &key))
}

async fn change(
    app: &ApiState,
    who: &Caller<ManageTenant>,
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

fn shown(row: &ApiKeyRow) -> Versioned {
    Versioned { revision: row.revision, body: view(row) }
}

fn with_secret(row: &ApiKeyRow, key: &ApiKey) -> Response {
    let mut shown = shown(row);
    shown.body["api_key"] = key.reveal().into();
    let mut response = shown.into_response();
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn view(row: &ApiKeyRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "role": row.role,
        "kb_id": row.kb_id,
        "permissions": row.permissions.iter().collect::<Vec<_>>(),
        "created_by": row.created_by,
        "revision": row.revision,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
        "previous_until": row.previous_until,
    })
}
