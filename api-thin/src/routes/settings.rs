use axum::Json as Answering;
use axum::extract::State;
use jobs::plan::Limits;
use jobs::tenant::TenantStatus;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::reindex::Nothing;
use super::settings_view::{ChangedTenant, QueueUse, TenantLimits, TenantSettingsView};
use super::text::{present, refused_slug, text};
use super::versioned::Versioned;
use crate::accept::{SettingsChange, change_settings};
use crate::accounts::slug;
use crate::extract::{
    Anyone, Caller, IfMatch, Json, ManageTenant, OptionalJson, TenantCaller, TenantOperator,
};
use crate::problem::{Code, Problem};
use crate::server::ApiState;
use stores::TenantStores;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TenantChange")]
pub(super) struct Change {
    /// What people call it: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// The word in its subdomain: 3 to 63 of a-z, 0-9 and -, nobody else's.
    slug: Option<String>,
    /// One of `/api/v1/plans`. For the operator.
    plan: Option<String>,
    /// What the tenant has beyond its plan, as a merge patch (RFC 7396): null is as the plan says again. For the
    /// operator.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Limits>")]
    limits: Option<Value>,
    /// `active` or `suspended`. For the operator.
    status: Option<String>,
}

/// `PATCH /api/v1/tenants/{tenant}`: another name or slug; for the operator also another plan, other limits,
/// suspended, or active again.
pub(super) async fn change(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    if_match: IfMatch,
    Json(Change { name, slug, plan, limits, status }): Json<Change>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let operators = plan.is_some() || limits.is_some() || status.is_some();
    if operators && !who.is_operator {
        let detail = "only the operator's key may change more than name and slug";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let name = name.map(|name| text("name", name, 200)).transpose()?;
    let slug = slug.map(|word| chosen_slug(&who, word)).transpose()?;
    let status = status.as_deref().map(status_of).transpose()?;
    change_to(&app, &who.stores, &if_match, SettingsChange { name, slug, plan, limits, status }).await
}

/// A tenant may always be called by its id, even by one that nobody could choose any more.
fn chosen_slug(who: &Caller<ManageTenant>, word: String) -> Result<String, Problem> {
    if word != who.tenant().as_str() {
        slug(&word).map_err(|fault| refused_slug("slug", fault))?;
    }
    Ok(word)
}

/// `POST …/suspend`: closed for now; its jobs are parked.
pub(super) async fn suspend(
    State(app): State<ApiState>,
    who: TenantOperator,
    if_match: IfMatch,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    status_change(&app, &who, &if_match, TenantStatus::Suspended).await
}

/// `POST …/resume`: in use again; its jobs come back.
pub(super) async fn resume(
    State(app): State<ApiState>,
    who: TenantOperator,
    if_match: IfMatch,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    status_change(&app, &who, &if_match, TenantStatus::Active).await
}

async fn status_change(
    app: &ApiState,
    who: &TenantOperator,
    if_match: &IfMatch,
    status: TenantStatus,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let change = SettingsChange { status: Some(status), ..SettingsChange::default() };
    change_to(app, &who.stores, if_match, change).await
}

async fn change_to(
    app: &ApiState,
    stores: &TenantStores,
    if_match: &IfMatch,
    change: SettingsChange,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let (tenant, applied) = change_settings(app, stores, if_match, &change).await?;
    let (revision, tenant) = (tenant.revision, TenantSettingsView::of(app, tenant));
    Ok(Versioned { revision, body: ChangedTenant { tenant, applied } })
}

fn status_of(name: &str) -> Result<TenantStatus, Problem> {
    match name {
        "active" => Ok(TenantStatus::Active),
        "suspended" => Ok(TenantStatus::Suspended),
        _ => Err(Problem::new(Code::InvalidField, "expected active or suspended").field("status")),
    }
}

/// `GET …/limits`: what the tenant may use, where that comes from, and how much of it is used.
pub(super) async fn limits(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<Anyone>,
) -> Result<Answering<TenantLimits>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    let stats = app.queue().stats(who.tenant()).await?;
    let usage = QueueUse {
        active: stats.active,
        backlog_jobs: stats.available + stats.scheduled + stats.retryable + stats.parked,
        scheduled_jobs: stats.scheduled,
    };
    Ok(Answering(TenantLimits { tenant: TenantSettingsView::of(&app, tenant), usage }))
}
