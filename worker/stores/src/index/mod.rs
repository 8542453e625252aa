//! Index port: what queries read. Chunks of text, and the graph of entities and relations that they mention.

mod fold;
mod log;
#[cfg(feature = "neo4j")]
pub(crate) mod neo4j;
mod provenance;
pub(crate) mod sql;

use std::ops::Range;

use jobs::DocumentId;
use jobs::plan::Limits;
use serde::{Deserialize, Serialize};

pub use self::provenance::MentionSource;
use crate::error::StoreError;
use crate::model::{Kb, OverQuota, Served};
use crate::page::{Page, RelationCursor};
use crate::ports::StoreResult;

/// The tenant's index: what queries read. On the servers its layout is `LightRAG`'s.
#[async_trait::async_trait]
pub trait Index: Send + Sync {
    /// Prepares the index for a knowledge base (uniqueness constraints first). Idempotent.
    async fn provision(&self, kb: &Kb) -> StoreResult<()>;

    /// Replaces a document's chunks by these, atomically. `name` is the document's name.
    async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()>;

    /// The chunks of a document whose order lies in `orders`, by order.
    async fn chunks(&self, kb: &Kb, document: &DocumentId, orders: Range<u32>) -> StoreResult<Vec<Chunk>>;

    /// Replaces a document's mentions by `mentions` and derives every entity and relation anew that gained or lost
    /// a mention.
    ///
    /// Idempotent; calls for different documents may run concurrently.
    async fn graph_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &[Mention],
    ) -> StoreResult<GraphDelta> {
        let replaced = self.graph_replace_within(kb, document, name, mentions, &Limits::default()).await?;
        let what = "there is a limit where none was set";
        replaced.map_err(|_| StoreError::Conflict { operation: "index.graph_replace", what })
    }

    /// As [`Index::graph_replace`], unless the graph would then have more entities or relations than `limits`
    /// allow: then nothing changes and the inner result is the exceeded quota.
    async fn graph_replace_within(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &[Mention],
        limits: &Limits,
    ) -> StoreResult<Result<GraphDelta, OverQuota>>;

    /// Puts a revision of a document in the place of the one that is served: chunks, mentions and the graph that
    /// follows from them, in one step. Nothing changes when a later revision is there, or when the graph would then
    /// have more entities or relations than `limits` allow.
    ///
    /// Idempotent; calls for different documents may run concurrently. With the graph in Neo4j the step is one as far
    /// as two servers can: a call that is interrupted between them has to be repeated.
    async fn document_replace(
        &self,
        kb: &Kb,
        content: &IndexContent<'_>,
        limits: &Limits,
    ) -> StoreResult<IndexChange>;

    /// The revision of a document that is served, and how much of it there is. `None` when there is none, or when it
    /// was put there by a release that did not note revisions.
    async fn document_served(&self, kb: &Kb, document: &DocumentId) -> StoreResult<Option<Served>>;

    /// Removes a knowledge base from the index.
    async fn kb_forget(&self, kb: &Kb) -> StoreResult<()>;

    /// Number of chunks, entities and relations.
    async fn counts(&self, kb: &Kb) -> StoreResult<GraphCounts>;

    /// Entities by name (code point order), beginning after the name `after`. At most `limit` (1 to 1,000).
    async fn entities(&self, kb: &Kb, after: Option<&str>, limit: u32) -> StoreResult<Page<Entity>>;

    /// One entity; `None` when nothing mentions it.
    async fn entity(&self, kb: &Kb, name: &str) -> StoreResult<Option<Entity>>;

    /// The chunks that mention an entity, by itself or as an end of a relation, by chunk id, beginning after the chunk
    /// `after`. At most `limit` (1 to 1,000).
    async fn entity_sources(
        &self,
        kb: &Kb,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<MentionSource>>;

    /// What a chunk mentions: entities by name, then relations by their ends.
    async fn chunk_mentions(&self, kb: &Kb, document: &DocumentId, order: u32) -> StoreResult<Vec<Mention>>;

    /// Relations by source and target (code point order), beginning after the cursor `after`. At most `limit`
    /// (1 to 1,000).
    async fn relations(
        &self,
        kb: &Kb,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>>;
}

/// A revision of a document, as it is to be served.
#[derive(Debug, Clone, Copy)]
pub struct IndexContent<'a> {
    /// The document.
    pub document: &'a DocumentId,
    /// Its name.
    pub name: &'a str,
    /// The revision.
    pub revision: u64,
    /// Its chunks. `None` when they are in the index already, as after an upgrade in the middle of the work.
    pub chunks: Option<&'a [Chunk]>,
    /// What they mention.
    pub mentions: &'a [Mention],
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexChange {
    /// The revision is served.
    Done(GraphDelta),
    /// A later revision is served, and stays.
    Outdated,
    /// The graph would have exceeded this quota.
    OverQuota(OverQuota),
}

/// A chunk of a document's text, as cut for extraction and retrieval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Position in the document, counted from zero.
    pub order: u32,
    /// Its length in tokens.
    pub tokens: u32,
    /// Its text.
    pub content: String,
}

/// A statement of one chunk about an entity or a relation.
///
/// The graph is a pure fold over its mentions, so it does not depend on the order in which documents arrive.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The entity or relation.
    pub kind: MentionKind,
    /// The chunk that contains it; see [`jobs::DocumentId::chunk_id`].
    pub chunk_id: String,
    /// The chunk's description of it.
    pub description: String,
}

/// What a mention is about.
#[derive(Debug, Clone, PartialEq)]
pub enum MentionKind {
    /// An entity.
    Entity {
        /// Its name.
        name: String,
        /// Its type according to this chunk.
        entity_type: String,
    },
    /// A relation. `source` sorts before `target` by code point.
    Relation {
        /// One end.
        source: String,
        /// The other end.
        target: String,
        /// What it is about.
        keywords: Vec<String>,
        /// Strength of this mention.
        weight: f64,
    },
}

/// A node of the graph, with `LightRAG`'s field names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// Its most frequent type.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The distinct descriptions, joined by `<SEP>`.
    pub description: String,
    /// The chunks that mention it, joined by `<SEP>`.
    pub source_id: String,
    /// The documents that mention it, joined by `<SEP>`.
    pub file_path: String,
}

/// An edge of the graph, with `LightRAG`'s field names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Relation {
    /// The end whose name sorts first.
    pub source: String,
    /// The other end.
    pub target: String,
    /// Keywords, sorted, joined by `,`.
    pub keywords: String,
    /// The distinct descriptions, joined by `<SEP>`.
    pub description: String,
    /// The sum of its mentions' weights.
    pub weight: f64,
    /// The chunks that mention it, joined by `<SEP>`.
    pub source_id: String,
    /// The documents that mention it, joined by `<SEP>`.
    pub file_path: String,
}

impl Relation {
    /// The cursor behind this relation, for the next page.
    #[must_use]
    pub fn cursor(&self) -> RelationCursor {
        RelationCursor { source: self.source.clone(), target: self.target.clone() }
    }
}

/// Number of keys that one document mentions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphDelta {
    /// Distinct entities it mentions.
    pub entities: u32,
    /// Distinct relations it mentions.
    pub relations: u32,
}

/// Size of a knowledge base's index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct GraphCounts {
    /// Text chunks.
    pub chunks: u64,
    /// Nodes.
    pub entities: u64,
    /// Edges.
    pub relations: u64,
}
