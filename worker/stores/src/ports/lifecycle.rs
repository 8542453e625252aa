use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::StoreResult;
use crate::model::Kb;

/// How what the tenant has in the catalog comes to its end.
///
/// Errors of every method: [`crate::StoreError::Transient`] when the server is away, `Permanent` when it
/// refuses.
#[async_trait::async_trait]
pub trait Lifecycle: Send + Sync {
    /// Begins to delete revision `revision` of a document, or goes on with it. From then on nobody sees the
    /// document, and whoever works on it finds that its revision has passed. Returns the revision under which
    /// it is being deleted; `None` when it is gone or was uploaded again.
    async fn document_deletion_begin(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>>;

    /// Removes the row of a document that is being deleted under `revision`. Returns whether it did; if not,
    /// it was uploaded again, or somebody else deletes it.
    async fn document_delete(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool>;

    /// A knowledge base that was closed ([`crate::model::Acceptance::kb_close`]).
    async fn kb_closed(&self, kb: &KbId) -> StoreResult<Option<Kb>>;

    /// Removes the rows of a knowledge base that was closed, and revokes the API keys that reach it alone: one that is
    /// made later under the same id is not theirs. Returns whether there were any rows.
    async fn kb_delete(&self, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool>;

    /// Closes the tenant, whatever state it is in: it is being deprovisioned, and jobs that were stamped before
    /// are called off. Returns its new epoch; `None` when it is gone.
    async fn tenant_close(&self) -> StoreResult<Option<u64>>;

    /// All knowledge bases, closed ones too.
    async fn tenant_kbs(&self) -> StoreResult<Vec<Kb>>;

    /// Removes all rows of a tenant that was closed. What stays is its id and its epoch, so that nobody gets
    /// the id again. Returns whether it did.
    async fn tenant_delete(&self, now: DateTime<Utc>) -> StoreResult<bool>;
}
