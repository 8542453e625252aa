use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::accept::{Answer, KbJob, accept_reindex};
use crate::extract::{IdempotencyKey, KbCaller, OptionalJson, UpdateDocuments};
use crate::problem::Problem;
use crate::server::ApiState;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST …/reindex`: read every document of the knowledge base again.
pub(super) async fn start(
    State(app): State<ApiState>,
    who: KbCaller<UpdateDocuments>,
    key: IdempotencyKey,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answer<KbJob>, Problem> {
    accept_reindex(&app, &who, &key).await
}
