//! Documents port: texts of documents, what was extracted from their chunks, and what is staged: text and chunks of a
//! revision that is being made beside the one that is served.

#[cfg(feature = "mongo")]
pub(crate) mod mongo;
pub(crate) mod sql;

use std::ops::Range;

use jobs::DocumentId;
use jobs::tenant::KbId;
use serde::{Deserialize, Serialize};

use crate::index::Chunk;
use crate::ports::StoreResult;

/// The tenant's document texts and what was extracted from them.
#[async_trait::async_trait]
pub trait Documents: Send + Sync {
    /// Prepares the store for this tenant (collections, indexes, files). Idempotent.
    async fn provision(&self) -> StoreResult<()>;

    /// Stores the text of a document, replacing an earlier one.
    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()>;

    /// The text of a document; `None` when none is stored.
    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>>;

    /// Removes the text of a document.
    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()>;

    /// Stores text and chunks of a revision that is being made, in place of those of this revision and of earlier ones.
    /// Nothing of it is served.
    async fn staged_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        parsed: &ParsedDocument,
        chunks: &[Chunk],
    ) -> StoreResult<()>;

    /// The staged chunks of revision `revision` whose order lies in `orders`, by order.
    async fn staged_chunks(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<Chunk>>;

    /// Makes the staged text of revision `revision` the document's text, unless that of a later one is already. What is
    /// staged stays. Returns whether there was such a text.
    async fn staged_publish(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool>;

    /// Removes what is staged for revisions up to `last` (`None`: for all).
    async fn staged_forget(&self, kb: &KbId, id: &DocumentId, last: Option<u64>) -> StoreResult<()>;

    /// Stores the extractions of some chunks (by their order) of revision `revision`, replacing earlier ones.
    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()>;

    /// The extractions of the chunks `orders` of revision `revision`, by chunk order. Read a document in ranges,
    /// because all of it may not fit into memory.
    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>>;

    /// Removes the extractions of all revisions but `keep` (`None`: of all).
    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()>;

    /// Removes the extractions of some chunks (by their order) of revision `revision`, so that they are extracted anew.
    async fn chunks_forget(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: &[u32],
    ) -> StoreResult<()>;

    /// Removes all texts and extractions of a knowledge base.
    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()>;

    /// Removes all texts and extractions of the tenant.
    async fn tenant_forget(&self) -> StoreResult<()>;
}

/// The text of a document, as parsed from its original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedDocument {
    /// The revision that was parsed.
    pub revision: u64,
    /// Its title, when it has one.
    pub title: Option<String>,
    /// Its text.
    pub text: String,
}

/// The entities and relations of one chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    /// Entities named in the chunk.
    pub entities: Vec<ExtractedEntity>,
    /// Relations between them.
    pub relations: Vec<ExtractedRelation>,
    /// Records that the extractor gave and that could not be kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u32,
    /// Why nothing could be extracted from the chunk, when that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ChunkFault>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why nothing could be extracted from a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ChunkFault {
    /// Stable code, `snake_case`.
    pub code: String,
    /// What happened and what to do. Never the text of the chunk.
    pub detail: String,
    /// Whether another try may succeed with the same text and the same model.
    pub retryable: bool,
}

/// An entity named in a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedEntity {
    /// Its name, at most 256 characters.
    pub name: String,
    /// Its type, lower case, such as `person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the chunk says about it.
    pub description: String,
}

/// A relation stated in a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractedRelation {
    /// The end whose name sorts first by code point.
    pub source: String,
    /// The other end.
    pub target: String,
    /// What the relation is about.
    pub keywords: Vec<String>,
    /// What the chunk says about it.
    pub description: String,
    /// Strength; 1.0 for one mention.
    pub weight: f64,
}
