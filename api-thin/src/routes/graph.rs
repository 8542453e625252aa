//! Entities and relations of a knowledge base, and where an entity comes from.

use axum::Json;
use axum::extract::Path;
use jobs::DocumentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Entity, GraphCounts, MentionSource, Relation, RelationCursor};

use super::parameters::{Paging, page_limit, parameter};
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

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    name: String,
}

/// `GET …/graph/entities/{name}`: an entity, and a page of the chunks that mention it, by id.
pub(super) async fn entity(
    who: KbCaller<ReadDocuments>,
    Path(Named { name }): Path<Named>,
    Query(asked): Query<Paging>,
) -> Result<Json<EntityWithSources>, Problem> {
    let limit = page_limit(asked.limit.as_deref())?;
    // No name has a NUL, which databases refuse.
    if name.contains('\0') {
        return Err(Problem::not_found());
    }
    let index = who.stores.index();
    let entity = index.entity(&who.kb, &name).await?.ok_or_else(Problem::not_found)?;
    let page = index.entity_sources(&who.kb, &name, asked.after.as_deref(), limit).await?;
    let sources = page.items.into_iter().map(SourceView::from).collect();
    Ok(Json(EntityWithSources { entity, sources, next: page.next }))
}

/// An entity, and where it is mentioned.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EntityWithSources {
    #[serde(flatten)]
    entity: Entity,
    /// The chunks that mention it, by itself or as an end of a relation.
    sources: Vec<SourceView>,
    /// Where the next page of sources begins; null at the end.
    next: Option<String>,
}

/// A chunk that mentions an entity.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MentionSource")]
struct SourceView {
    chunk_id: String,
    /// The chunk's place in its document, from 0.
    chunk_index: u32,
    document_id: DocumentId,
    /// The document's file name.
    document_name: String,
    /// The entity's type according to the chunk; null where only relations of the chunk name it.
    #[serde(rename = "type")]
    entity_type: Option<String>,
    /// What the chunk says of it.
    description: String,
}

impl From<MentionSource> for SourceView {
    fn from(source: MentionSource) -> Self {
        let MentionSource { chunk_id, document, document_name, entity_type, description } = source;
        let chunk_index = document.chunk_order(&chunk_id).unwrap_or_default();
        Self { chunk_id, chunk_index, document_id: document, document_name, entity_type, description }
    }
}
