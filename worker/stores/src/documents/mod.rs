//! Texts of documents, and what was extracted from their chunks.

#[cfg(feature = "mongo")]
pub(crate) mod mongo;
pub(crate) mod sql;

use std::ops::Range;

use jobs::DocumentId;
use jobs::tenant::KbId;
use serde::{Deserialize, Serialize};

use crate::ports::StoreResult;

/// The tenant's document texts and what was extracted from them.
#[async_trait::async_trait]
pub trait Documents: Send + Sync {
    /// Prepares the store for this tenant (collections, indexes, files). May run again at any time.
    async fn provision(&self) -> StoreResult<()>;

    /// Stores the text of a document in place of what was there.
    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()>;

    /// The text of a document.
    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>>;

    /// Removes the text of a document.
    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()>;

    /// Stores what was extracted from some chunks (by their order) of revision `revision`, in place of what
    /// was there.
    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()>;

    /// What was extracted from the chunks `orders` of revision `revision`, by chunk order. All of a document may be
    /// more
    /// than fits in memory.
    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>>;

    /// Forgets the extractions of all revisions but `keep` (`None`: of all).
    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()>;

    /// Forgets all texts and extractions of a knowledge base.
    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()>;

    /// Forgets everything of the tenant.
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

/// What one chunk says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extraction {
    /// The things it names.
    pub entities: Vec<ExtractedEntity>,
    /// What it says about pairs of them.
    pub relations: Vec<ExtractedRelation>,
}

/// A thing that a chunk names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedEntity {
    /// Its name, at most 256 characters.
    pub name: String,
    /// Its type, lower case, such as `person`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the chunk says of it.
    pub description: String,
}

/// What a chunk says about two things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractedRelation {
    /// The one whose name sorts first by code point.
    pub source: String,
    /// The other.
    pub target: String,
    /// What the relation is about.
    pub keywords: Vec<String>,
    /// What the chunk says of it.
    pub description: String,
    /// How strong it is; 1.0 for one mention.
    pub weight: f64,
}
