use axum::Json;
use serde_json::{Map, Value, json};
use stores::model::{DocumentStatus, Kb};
use stores::ports::Catalog;

use crate::extract::{Caller, ReadDocuments};
use crate::problem::Problem;

/// `GET …/kbs`: the knowledge bases that the credentials reach, with their documents by status.
pub(super) async fn list(who: Caller<ReadDocuments>) -> Result<Json<Value>, Problem> {
    let catalog = who.stores.catalog();
    let reached = |kb: &Kb| who.only_kb.as_ref().is_none_or(|only| *only == kb.id);
    let mut rows = Vec::new();
    for kb in catalog.kbs().await?.into_iter().filter(reached) {
        rows.push(view(&kb, catalog.as_ref()).await?);
    }
    Ok(Json(json!({ "kbs": rows })))
}

async fn view(kb: &Kb, catalog: &dyn Catalog) -> Result<Value, Problem> {
    let totals = catalog.document_totals(&kb.id).await?;
    let documents: Map<String, Value> = DocumentStatus::ALL
        .iter()
        .zip(totals)
        .map(|(status, total)| (status.to_string(), total.into()))
        .collect();
    Ok(json!({ "id": kb.id, "name": kb.name, "created_at": kb.created_at, "documents": documents }))
}
