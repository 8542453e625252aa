//! The index: what queries read. Chunks of text, and the graph of entities and relations that they mention.

mod fold;
mod log;
#[cfg(feature = "neo4j")]
pub(crate) mod neo4j;
pub(crate) mod sql;

use std::ops::Range;

use jobs::DocumentId;
use jobs::plan::Limits;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::model::{Kb, OverQuota};
use crate::page::{Page, RelationCursor};
use crate::ports::StoreResult;

/// The tenant's index: what queries read. On the servers its layout is `LightRAG`'s.
#[async_trait::async_trait]
pub trait Index: Send + Sync {
    /// Prepares the index for a knowledge base (uniqueness constraints first). May run again at any time.
    async fn provision(&self, kb: &Kb) -> StoreResult<()>;

    /// Sets a document's chunks to exactly these, in one step. `name` is the document's name.
    async fn chunks_replace(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        chunks: &[Chunk],
    ) -> StoreResult<()>;

    /// The chunks of a document whose order lies in `orders`, by order.
    async fn chunks(&self, kb: &Kb, document: &DocumentId, orders: Range<u32>) -> StoreResult<Vec<Chunk>>;

    /// Sets what a document says to exactly `mentions` and derives every entity and relation anew that gained
    /// or lost one.
    ///
    /// The same call again changes nothing; calls for different documents may run side by side.
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
    /// allow: then nothing changes.
    async fn graph_replace_within(
        &self,
        kb: &Kb,
        document: &DocumentId,
        name: &str,
        mentions: &[Mention],
        limits: &Limits,
    ) -> StoreResult<Result<GraphDelta, OverQuota>>;

    /// Removes everything that a knowledge base has in the index.
    async fn kb_forget(&self, kb: &Kb) -> StoreResult<()>;

    /// How much there is.
    async fn counts(&self, kb: &Kb) -> StoreResult<GraphCounts>;

    /// Entities by name (code point order), beginning after the name `after`. At most `limit` (1 to 1,000).
    async fn entities(&self, kb: &Kb, after: Option<&str>, limit: u32) -> StoreResult<Page<Entity>>;

    /// Relations by source and target (code point order), beginning after the cursor `after`. At most `limit`
    /// (1 to 1,000).
    async fn relations(
        &self,
        kb: &Kb,
        after: Option<&RelationCursor>,
        limit: u32,
    ) -> StoreResult<Page<Relation>>;
}

/// A run of a document's text, cut for extraction and retrieval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its place in the document, counted from zero.
    pub order: u32,
    /// Its length in tokens.
    pub tokens: u32,
    /// Its text.
    pub content: String,
}

/// Something that one chunk of a document says about an entity or a relation.
///
/// The graph is a pure fold over its mentions, so the order in which documents arrive leaves no trace in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// About what.
    pub kind: MentionKind,
    /// The chunk that says so; see [`jobs::DocumentId::chunk_id`].
    pub chunk_id: String,
    /// What it says.
    pub description: String,
}

/// What a mention is about.
#[derive(Debug, Clone, PartialEq)]
pub enum MentionKind {
    /// An entity.
    Entity {
        /// Its name.
        name: String,
        /// The type that this chunk gives it.
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
        /// How strong this mention is.
        weight: f64,
    },
}

/// A node of the graph, in `LightRAG`'s words.
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

/// An edge of the graph, in `LightRAG`'s words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Relation {
    /// The end whose name sorts first.
    pub source: String,
    /// The other end.
    pub target: String,
    /// What it is about, sorted, joined by `,`.
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
    /// Where a page ends whose last relation this is.
    #[must_use]
    pub fn cursor(&self) -> RelationCursor {
        RelationCursor { source: self.source.clone(), target: self.target.clone() }
    }
}

/// What one document contributed to the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphDelta {
    /// Distinct entities it mentions.
    pub entities: u32,
    /// Distinct relations it mentions.
    pub relations: u32,
}

/// How much is in a knowledge base's index.
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
