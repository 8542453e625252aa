use axum::Json as Answering;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use stores::model::RagSettings;

use crate::accept::change_rag_settings;
use crate::extract::{Anyone, IfMatch, Json, ManageTenant, TenantCaller};
use crate::problem::Problem;

/// `GET …/settings`: how the tenant wants its documents read and its questions answered.
pub(super) async fn show(TenantCaller(who): TenantCaller<Anyone>) -> Result<Response, Problem> {
    let (settings, revision) = who.stores.catalog().rag_settings().await?.ok_or_else(Problem::not_found)?;
    Ok(answer(settings, revision))
}

/// `PATCH …/settings`
pub(super) async fn change(
    TenantCaller(who): TenantCaller<ManageTenant>,
    if_match: IfMatch,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    let (settings, revision) = change_rag_settings(&who.stores, &if_match, &patch).await?;
    Ok(answer(settings, revision))
}

fn answer(settings: RagSettings, revision: u64) -> Response {
    let tag = format!("\"{revision}\"");
    ([(axum::http::header::ETAG, tag)], Answering(settings)).into_response()
}
