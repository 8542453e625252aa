use axum::Json;
use axum::extract::State;
use jobs::queue::LaneStatus;
use schemars::JsonSchema;
use serde::Serialize;

use crate::extract::OperatorCaller;
use crate::problem::Problem;
use crate::server::ApiState;

/// `GET /api/v1/lanes`: which types and versions of jobs there are, those that no live worker runs first.
pub(super) async fn list(State(app): State<ApiState>, _: OperatorCaller) -> Result<Json<LaneList>, Problem> {
    let mut lanes = app.queue().lanes().await?;
    lanes.sort_by(|one, other| (one.workers > 0, &one.lane).cmp(&(other.workers > 0, &other.lane)));
    Ok(Json(LaneList { lanes: lanes.into_iter().map(LaneView::from).collect() }))
}

/// A type and version of jobs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lane")]
struct LaneView {
    /// The type, `@` and the version.
    lane: String,
    /// How many live workers run it.
    workers: u64,
    /// How many tenants have such a job that could start now.
    ready_tenants: u64,
}

impl From<LaneStatus> for LaneView {
    fn from(LaneStatus { lane, workers, ready_tenants }: LaneStatus) -> Self {
        Self { lane, workers, ready_tenants }
    }
}

/// Types and versions of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LaneList {
    lanes: Vec<LaneView>,
}
