use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::state::ApiState;
use crate::problem::{Code, Problem};

/// Ends a request, its body included, that takes too long.
pub(super) async fn deadline(State(app): State<ApiState>, request: Request, next: Next) -> Response {
    let limit = app.limits().request_time;
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("the request was not finished within {} s", limit.as_secs());
        Problem::new(Code::RequestTimeout, detail).into_response()
    })
}
