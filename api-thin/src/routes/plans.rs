//! The plans, and what a tenant of each may use.

use axum::Json;
use axum::extract::State;
use jobs::plan::Limits;
use schemars::JsonSchema;
use serde::Serialize;

use super::parameters::Paging;
use crate::problem::{Code, Problem};
use crate::request::{AuthenticatedCaller, Query};
use crate::state::ApiState;

/// `GET /api/v1/plans`: every plan, and what a tenant of it may use.
pub(super) async fn list(
    State(app): State<ApiState>,
    _: AuthenticatedCaller,
    Query(asked): Query<Paging>,
) -> Result<Json<PlanList>, Problem> {
    let plans = app.plans();
    let row = |name: &str| Plan { name: name.to_owned(), limits: plans.limits(name, &Limits::default()) };
    let (names, next) = asked.cut(plans.names(), |name| (*name).to_owned())?;
    Ok(Json(PlanList { plans: names.into_iter().map(row).collect(), next }))
}

/// A plan, and what a tenant of it may use.
#[derive(Debug, Serialize, JsonSchema)]
struct Plan {
    name: String,
    limits: Limits,
}

/// Plans, by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlanList {
    plans: Vec<Plan>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// Refuses a plan that is not defined: its tenant would have no limits at all.
pub(crate) fn check_plan(app: &ApiState, plan: &str) -> Result<(), Problem> {
    if app.plans().has(plan) {
        return Ok(());
    }
    let known = app.plans().names().join(", ");
    let detail = format!("there is no such plan: expected one of {known}, or define it in TENANTRY_PLANS");
    Err(Problem::new(Code::InvalidField, detail).field("plan"))
}
