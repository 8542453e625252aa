//! Entities and relations of a knowledge base.

use axum::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Entity, GraphCounts, Relation, RelationCursor};

use super::parameters::{page_limit, parameter};
use crate::problem::Problem;
use crate::request::{KbCaller, Query, ReadDocuments};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// The `entities_next` of the page before.
    entities_after: Option<String>,
    /// The `relations_next` of the page before.
    relations_after: Option<String>,
    /// How many of each to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/graph`: how much there is, and a page of entities and of relations.
pub(super) async fn show(
    who: KbCaller<ReadDocuments>,
    Query(asked): Query<Listing>,
) -> Result<Json<GraphPage>, Problem> {
    let limit = page_limit(asked.limit.as_deref())?;
    let relations_after: Option<RelationCursor> =
        parameter("relations_after", asked.relations_after.as_deref())?;
    let index = who.stores.index();
    let counts = index.counts(&who.kb).await?;
    let entities = index.entities(&who.kb, asked.entities_after.as_deref(), limit).await?;
    let relations = index.relations(&who.kb, relations_after.as_ref(), limit).await?;
    Ok(Json(GraphPage {
        counts,
        entities: entities.items,
        entities_next: entities.next,
        relations: relations.items,
        relations_next: relations.next,
    }))
}

/// Entities, by name, and relations, by their ends.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GraphPage {
    /// How much there is in the whole knowledge base.
    counts: GraphCounts,
    entities: Vec<Entity>,
    /// Where the next page of entities begins; null at the end.
    entities_next: Option<String>,
    relations: Vec<Relation>,
    /// Where the next page of relations begins; null at the end.
    relations_next: Option<String>,
}
