use std::ops::Range;

use jobs::DocumentId;
use jobs::tenant::KbId;

use super::StoreResult;
use crate::model::{Extraction, ParsedDocument};

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
