use axum::Json as Answering;
use axum::extract::State;
use jobs::tenant::TenantStatus;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::accept::{SettingsChange, change_settings};
use crate::extract::{Anyone, Caller, Json, TenantOperator};
use crate::problem::{Code, Problem};
use crate::server::ApiState;
use stores::model::Tenant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    plan: Option<String>,
    #[serde(default, deserialize_with = "present")]
    limits: Option<Value>,
    status: Option<String>,
}

/// `null` is a value too: it ends all that the tenant has beyond its plan.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// `PATCH /api/v1/tenants/{tenant}`: another plan, other limits, suspended, or active again.
pub(super) async fn change(
    State(app): State<ApiState>,
    who: TenantOperator,
    Json(Change { plan, limits, status }): Json<Change>,
) -> Result<Answering<Value>, Problem> {
    let status = status.as_deref().map(status_of).transpose()?;
    let change = SettingsChange { plan, limits, status };
    let (tenant, applied) = change_settings(&app, &who.stores, &change).await?;
    let mut answer = view(&app, &tenant);
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
