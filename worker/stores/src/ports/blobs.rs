use bytes::Bytes;
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::StoreResult;

/// The tenant's uploaded originals. Named by content, so that a new upload never changes what a running job
/// reads.
#[async_trait::async_trait]
pub trait Blobs: Send + Sync {
    /// Stores an original. Storing the same again changes nothing.
    async fn original_put(
        &self,
        kb: &KbId,
        document: &DocumentId,
        sha256: &str,
        bytes: Bytes,
    ) -> StoreResult<()>;

    /// An original; `None` when it is not there.
    async fn original(&self, kb: &KbId, document: &DocumentId, sha256: &str) -> StoreResult<Option<Bytes>>;

    /// Removes a document's originals except the one with the digest `keep`.
    async fn originals_forget(&self, kb: &KbId, document: &DocumentId, keep: Option<&str>)
    -> StoreResult<()>;
}
