use bytes::Bytes;
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::StoreResult;
use crate::model::StoredOriginal;

/// The tenant's uploaded originals. Named by content, so that a new upload never changes what a running job
/// reads.
#[async_trait::async_trait]
pub trait Blobs: Send + Sync {
    /// Stores an original. Storing the same again only makes it the latest.
    async fn original_put(
        &self,
        kb: &KbId,
        document: &DocumentId,
        sha256: &str,
        bytes: Bytes,
    ) -> StoreResult<()>;

    /// An original; `None` when it is not there.
    async fn original(&self, kb: &KbId, document: &DocumentId, sha256: &str) -> StoreResult<Option<Bytes>>;

    /// Removes the document's originals that were stored before the one with the digest `keep`, or all of
    /// them. What was stored later may belong to an upload that is being accepted at this moment.
    async fn originals_forget(&self, kb: &KbId, document: &DocumentId, keep: Option<&str>)
    -> StoreResult<()>;

    /// The document's originals, each as it was stored last.
    async fn originals(&self, kb: &KbId, document: &DocumentId) -> StoreResult<Vec<StoredOriginal>>;

    /// Removes these originals, but for those that were stored again since.
    async fn originals_delete(
        &self,
        kb: &KbId,
        document: &DocumentId,
        originals: &[StoredOriginal],
    ) -> StoreResult<()>;

    /// Removes all originals of a knowledge base.
    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()>;

    /// Removes all originals of the tenant.
    async fn tenant_forget(&self) -> StoreResult<()>;
}
