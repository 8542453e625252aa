use axum::Json;
use axum::extract::State;
use jobs::plan::Limits;
use schemars::JsonSchema;
use serde::Serialize;

use crate::extract::Somebody;
use crate::server::ApiState;

/// `GET /api/v1/plans`: every plan, and what a tenant of it may use.
pub(super) async fn list(State(app): State<ApiState>, _: Somebody) -> Json<PlanList> {
    let plans = app.plans();
    let row = |name: &str| Plan { name: name.to_owned(), limits: plans.limits(name, &Limits::default()) };
    Json(PlanList { plans: plans.names().into_iter().map(row).collect() })
}

/// A plan, and what a tenant of it may use.
#[derive(Debug, Serialize, JsonSchema)]
struct Plan {
    name: String,
    limits: Limits,
}

/// Every plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlanList {
    plans: Vec<Plan>,
}
