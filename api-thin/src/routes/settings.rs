use axum::Json as Answering;
use axum::extract::State;
use jobs::tenant::TenantStatus;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::reindex::Nothing;
use super::text::text;
use crate::accept::{SettingsChange, change_settings};
use crate::extract::{Anyone, Caller, Json, ManageTenant, OptionalJson, TenantCaller, TenantOperator};
use crate::problem::{Code, Problem};
use crate::server::ApiState;
use stores::TenantStores;
use stores::model::Tenant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    name: Option<String>,
    plan: Option<String>,
    #[serde(default, deserialize_with = "present")]
    limits: Option<Value>,
    status: Option<String>,
}

/// `null` is a value too: it ends all that the tenant has beyond its plan.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// `PATCH /api/v1/tenants/{tenant}`: another name; for the operator also another plan, other limits, suspended, or
/// active again.
pub(super) async fn change(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageTenant>,
    Json(Change { name, plan, limits, status }): Json<Change>,
) -> Result<Answering<Value>, Problem> {
    let operators = plan.is_some() || limits.is_some() || status.is_some();
    if operators && !who.is_operator {
        return Err(Problem::new(Code::Forbidden, "only the operator's key may change more than the name"));
    }
    let name = name.map(|name| text("name", name, 200)).transpose()?;
    let status = status.as_deref().map(status_of).transpose()?;
    change_to(&app, &who.stores, SettingsChange { name, plan, limits, status }).await
}

/// `POST …/suspend`: closed for now; its jobs are parked.
pub(super) async fn suspend(
    State(app): State<ApiState>,
    who: TenantOperator,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answering<Value>, Problem> {
    status_change(&app, &who, TenantStatus::Suspended).await
}

/// `POST …/resume`: in use again; its jobs come back.
pub(super) async fn resume(
    State(app): State<ApiState>,
    who: TenantOperator,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answering<Value>, Problem> {
    status_change(&app, &who, TenantStatus::Active).await
}

async fn status_change(
    app: &ApiState,
    who: &TenantOperator,
    status: TenantStatus,
) -> Result<Answering<Value>, Problem> {
    change_to(app, &who.stores, SettingsChange { status: Some(status), ..SettingsChange::default() }).await
}

async fn change_to(
    app: &ApiState,
    stores: &TenantStores,
    change: SettingsChange,
) -> Result<Answering<Value>, Problem> {
    let (tenant, applied) = change_settings(app, stores, &change).await?;
    let mut answer = view(app, &tenant);
    answer["applied"] = applied.into();
    Ok(Answering(answer))
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
    who: Caller<Anyone>,
) -> Result<Answering<Value>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    let stats = app.queue().stats(who.tenant()).await?;
    let mut answer = view(&app, &tenant);
    answer["usage"] = json!({
        "active": stats.active,
        "backlog_jobs": stats.available + stats.scheduled + stats.retryable + stats.parked,
        "scheduled_jobs": stats.scheduled,
    });
    Ok(Answering(answer))
}

fn view(app: &ApiState, tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "plan": tenant.plan,
        "status": tenant.status,
        "limits": app.plans().limits(&tenant.plan, &tenant.limits),
        "beyond_plan": tenant.limits,
    })
}
