use axum::Json;
use axum::extract::State;
use jobs::plan::Limits;
use serde_json::{Value, json};

use crate::extract::Somebody;
use crate::server::ApiState;

/// `GET /api/v1/plans`: every plan, and what a tenant of it may use.
pub(super) async fn list(State(app): State<ApiState>, _: Somebody) -> Json<Value> {
    let plans = app.plans();
    let row = |name: &str| json!({ "name": name, "limits": plans.limits(name, &Limits::default()) });
    let rows: Vec<Value> = plans.names().into_iter().map(row).collect();
    Json(json!({ "plans": rows }))
}
