//! Deletion of documents, knowledge bases and tenants.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::Catalog;
use crate::model::Kb;
use crate::ports::StoreResult;

/// Deletes the tenant's documents, knowledge bases and finally the tenant. Each deletion has two steps: close,
/// after which readers do not find the data, and delete, once all other stores are empty.
///
/// Errors as for [`Catalog`].
pub struct Lifecycle {
    catalog: Catalog,
}

impl Lifecycle {
    pub(crate) const fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }

    /// Begins to delete revision `revision` of a document, or continues. From then on it is in no list, and running
    /// jobs find their revision outdated. Returns the revision under which it is being deleted; `None` when it is
    /// gone or was uploaded again.
    pub async fn document_deletion_begin(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>> {
        const BEGIN: &str = "lifecycle.document_deletion_begin";
        self.catalog.document_deletion_begin(BEGIN, (kb, id, revision), now).await
    }

    /// Removes the row of a document that is being deleted under `revision`. Returns whether it did; if not, the
    /// document was uploaded again, or another call deletes it.
    pub async fn document_delete(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        self.catalog.document_delete("lifecycle.document_delete", (kb, id, revision)).await
    }

    /// A closed knowledge base ([`crate::model::Acceptance::kb_close`]); `None` if it is open or gone.
    pub async fn kb_closed(&self, kb: &KbId) -> StoreResult<Option<Kb>> {
        Ok(self.catalog.kb_as("lifecycle.kb_closed", kb).await?.filter(|kb| kb.is_closed))
    }

    /// Removes the rows of a closed knowledge base, and revokes the API keys that are restricted to it, so that
    /// they do not work for a later knowledge base with the same id. Returns whether there were any rows.
    pub async fn kb_delete(&self, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
        self.catalog.kb_delete("lifecycle.kb_delete", kb, now).await
    }

    /// Closes the tenant, whatever its status: it is deprovisioning from then on, and jobs that were stamped before
    /// are cancelled by its new epoch, which is returned. `None` when the tenant is gone.
    pub async fn tenant_close(&self) -> StoreResult<Option<u64>> {
        self.catalog.tenant_close("lifecycle.tenant_close").await
    }

    /// All knowledge bases, those that are being deleted included.
    pub async fn tenant_kbs(&self) -> StoreResult<Vec<Kb>> {
        self.catalog.kbs_all("lifecycle.tenant_kbs").await
    }

    /// Removes all rows of a closed tenant. A tombstone with its id and epoch stays, so that no other tenant gets
    /// the id. Returns whether the tenant was closed.
    pub async fn tenant_delete(&self, now: DateTime<Utc>) -> StoreResult<bool> {
        self.catalog.tenant_delete("lifecycle.tenant_delete", now).await
    }
}
