use std::ops::Range;

use jobs::DocumentId;
use jobs::plan::Limits;

use super::StoreResult;
use crate::error::StoreError;
use crate::model::{
    Chunk, Entity, GraphCounts, GraphDelta, Kb, Mention, OverQuota, Page, Relation, RelationCursor,
};

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
