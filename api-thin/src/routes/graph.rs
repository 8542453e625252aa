use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::page_limit;
use crate::extract::{KbCaller, Query, ReadDocuments};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    entities_after: Option<String>,
    relations_after: Option<String>,
    limit: Option<u32>,
}

/// `GET …/graph`: how much there is, and a page of entities and of relations.
pub(super) async fn show(
    who: KbCaller<ReadDocuments>,
    Query(asked): Query<Listing>,
) -> Result<Json<Value>, Problem> {
    let limit = page_limit(asked.limit)?;
    let index = who.caller.stores.index();
    let counts = index.counts(&who.kb).await?;
    let entities = index.entities(&who.kb, asked.entities_after.as_deref(), limit).await?;
    let relations = index.relations(&who.kb, asked.relations_after.as_deref(), limit).await?;
    Ok(Json(json!({
        "counts": counts,
        "entities": entities.items,
        "entities_next": entities.next,
        "relations": relations.items,
        "relations_next": relations.next,
    })))
}
