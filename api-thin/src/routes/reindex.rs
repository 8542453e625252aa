use axum::extract::State;
use serde::Deserialize;

use crate::accept::{Answer, accept_reindex};
use crate::extract::{IdempotencyKey, KbCaller, OptionalJson, UpdateDocuments};
use crate::problem::Problem;
use crate::server::ApiState;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST …/reindex`: read every document of the knowledge base again.
pub(super) async fn start(
    State(app): State<ApiState>,
    who: KbCaller<UpdateDocuments>,
    key: IdempotencyKey,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answer, Problem> {
    accept_reindex(&app, &who, &key).await
}
