use axum::Json;
use axum::extract::State;
use jobs::queue::LaneStatus;
use schemars::JsonSchema;
use serde::Serialize;

use super::page::Paging;
use crate::extract::{OperatorCaller, Query};
use crate::problem::Problem;
use crate::server::ApiState;

/// `GET /api/v1/lanes`: which types and versions of jobs there are, those that no live worker runs first.
pub(super) async fn list(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Paging>,
) -> Result<Json<LaneList>, Problem> {
    let lanes = app.queue().lanes().await?;
    let key = |lane: &LaneStatus| format!("{}-{}", u8::from(lane.workers > 0), lane.lane);
    let (lanes, next) = asked.cut(lanes, key)?;
    Ok(Json(LaneList { lanes: lanes.into_iter().map(LaneView::from).collect(), next }))
}

/// A type and version of jobs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lane")]
struct LaneView {
    /// The type, `@` and the version.
    lane: String,
    /// The queue that its jobs wait in.
    queue: String,
    /// How many live workers run it.
    workers: u64,
    /// How many tenants have such a job that could start now.
    ready_tenants: u64,
}

impl From<LaneStatus> for LaneView {
    fn from(LaneStatus { lane, queue, workers, ready_tenants }: LaneStatus) -> Self {
        Self { lane, queue, workers, ready_tenants }
    }
}

/// Types and versions of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LaneList {
    lanes: Vec<LaneView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
