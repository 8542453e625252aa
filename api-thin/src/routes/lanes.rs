use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::extract::OperatorCaller;
use crate::problem::Problem;
use crate::server::ApiState;

/// `GET /api/v1/lanes`: which types and versions of jobs there are, those that no live worker runs first.
pub(super) async fn list(State(app): State<ApiState>, _: OperatorCaller) -> Result<Json<Value>, Problem> {
    let mut lanes = app.queue().lanes().await?;
    lanes.sort_by(|one, other| (one.workers > 0, &one.lane).cmp(&(other.workers > 0, &other.lane)));
    let rows: Vec<Value> = lanes
        .iter()
        .map(
            |lane| json!({ "lane": lane.lane, "workers": lane.workers, "ready_tenants": lane.ready_tenants }),
        )
        .collect();
    Ok(Json(json!({ "lanes": rows })))
}
