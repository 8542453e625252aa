//! Chunks of a document: their text, and what was extracted from each.

use axum::Json;
use axum::extract::Path;
use jobs::DocumentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Chunk, Mention, MentionKind};

use super::parameters::{Paging, page_after, page_limit};
use crate::problem::Problem;
use crate::request::{KbCaller, Query, ReadDocuments};

/// Chunks that are read at once.
const READ: u32 = 32;
/// A page ends after so much text: chunks may be large.
const PAGE_BYTES: usize = 4 << 20;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OfDocument {
    #[schemars(with = "DocumentId")]
    document: String,
}

/// The document that a path names, if the knowledge base has it.
async fn document(who: &KbCaller<ReadDocuments>, named: &str) -> Result<DocumentId, Problem> {
    let id: DocumentId = named.parse().map_err(|_| Problem::not_found())?;
    let found = who.stores.catalog().document(&who.kb.id, &id).await?;
    found.map(|_| id).ok_or_else(Problem::not_found)
}

/// `GET …/documents/{document}/chunks`: a page of chunks, in the order of the text.
pub(super) async fn list(
    who: KbCaller<ReadDocuments>,
    Path(named): Path<OfDocument>,
    Query(asked): Query<Paging>,
) -> Result<Json<ChunkPage>, Problem> {
    let after: Option<u32> = page_after(asked.after.as_deref())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let id = document(&who, &named.document).await?;
    let first = after.map_or(0, |after| after.saturating_add(1));
    // One more, which tells whether another page follows.
    let end = first.saturating_add(limit).saturating_add(1);
    let (mut chunks, mut bytes, mut from) = (Vec::new(), 0, first);
    while from < end && bytes < PAGE_BYTES {
        let to = end.min(from.saturating_add(READ));
        let read = who.stores.index().chunks(&who.kb, &id, from..to).await?;
        let is_last = read.len() < (to - from) as usize;
        bytes += read.iter().map(|chunk| chunk.content.len()).sum::<usize>();
        chunks.extend(read);
        if is_last {
            return Ok(Json(page(&id, chunks, None)));
        }
        from = to;
    }
    // Cut at the limit, or where the text became too much.
    chunks.truncate(limit as usize);
    let next = chunks.last().map(|chunk: &Chunk| chunk.order.to_string());
    Ok(Json(page(&id, chunks, next)))
}

fn page(document: &DocumentId, chunks: Vec<Chunk>, next: Option<String>) -> ChunkPage {
    ChunkPage { chunks: chunks.into_iter().map(|chunk| ChunkView::of(document, chunk)).collect(), next }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OfChunk {
    #[schemars(with = "DocumentId")]
    document: String,
    #[schemars(with = "u32")]
    chunk: String,
}

/// `GET …/documents/{document}/chunks/{chunk}`: a chunk, and what it says of entities and relations.
pub(super) async fn show(
    who: KbCaller<ReadDocuments>,
    Path(named): Path<OfChunk>,
) -> Result<Json<ChunkWithMentions>, Problem> {
    let order: u32 = named.chunk.parse().map_err(|_| Problem::not_found())?;
    let id = document(&who, &named.document).await?;
    let index = who.stores.index();
    let chunk = index.chunks(&who.kb, &id, order..order.saturating_add(1)).await?.pop();
    let chunk = ChunkView::of(&id, chunk.ok_or_else(Problem::not_found)?);
    let (mut entities, mut relations) = (Vec::new(), Vec::new());
    for Mention { kind, description, .. } in index.chunk_mentions(&who.kb, &id, order).await? {
        match kind {
            MentionKind::Entity { name, entity_type } => {
                entities.push(MentionedEntity { name, entity_type, description });
            }
            MentionKind::Relation { source, target, keywords, weight } => {
                relations.push(MentionedRelation { source, target, keywords, weight, description });
            }
        }
    }
    Ok(Json(ChunkWithMentions { chunk, document_id: id, entities, relations }))
}

/// A part of a document's text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Chunk")]
struct ChunkView {
    /// As in `source_id` of entities and relations.
    id: String,
    /// Its place in the document, from 0.
    index: u32,
    /// Its length in tokens.
    tokens: u32,
    text: String,
}

impl ChunkView {
    fn of(document: &DocumentId, Chunk { order, tokens, content }: Chunk) -> Self {
        Self { id: document.chunk_id(order), index: order, tokens, text: content }
    }
}

/// Chunks, in the order of the text.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChunkPage {
    /// Fewer than asked for where they are large.
    chunks: Vec<ChunkView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// A chunk, and what the graph has from it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChunkWithMentions {
    #[serde(flatten)]
    chunk: ChunkView,
    document_id: DocumentId,
    /// The entities that it mentions, by name. None before the document is in the graph.
    entities: Vec<MentionedEntity>,
    /// The relations that it mentions, by their ends.
    relations: Vec<MentionedRelation>,
}

/// What one chunk says of an entity.
#[derive(Debug, Serialize, JsonSchema)]
struct MentionedEntity {
    name: String,
    /// Its type according to this chunk.
    #[serde(rename = "type")]
    entity_type: String,
    description: String,
}

/// What one chunk says of a relation.
#[derive(Debug, Serialize, JsonSchema)]
struct MentionedRelation {
    /// The end whose name sorts first.
    source: String,
    /// The other end.
    target: String,
    keywords: Vec<String>,
    weight: f64,
    description: String,
}
