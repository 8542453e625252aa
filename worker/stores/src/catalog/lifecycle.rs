//! The end of documents, knowledge bases and tenants.

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::KbId;

use super::Catalog;
use crate::model::Kb;
use crate::ports::StoreResult;

/// How what the tenant has in the catalog comes to its end.
///
/// Errors are as those of [`Catalog`].
pub struct Lifecycle {
    catalog: Catalog,
}

impl Lifecycle {
    pub(crate) const fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }

    /// Begins to delete revision `revision` of a document, or goes on with it. From then on nobody sees the
    /// document, and whoever works on it finds that its revision has passed. Returns the revision under which
    /// it is being deleted; `None` when it is gone or was uploaded again.
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

    /// Removes the row of a document that is being deleted under `revision`. Returns whether it did; if not,
    /// it was uploaded again, or somebody else deletes it.
    pub async fn document_delete(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        self.catalog.document_delete("lifecycle.document_delete", (kb, id, revision)).await
    }

    /// A knowledge base that was closed ([`crate::model::Acceptance::kb_close`]).
    pub async fn kb_closed(&self, kb: &KbId) -> StoreResult<Option<Kb>> {
        Ok(self.catalog.kb_as("lifecycle.kb_closed", kb).await?.filter(|kb| kb.is_closed))
    }

    /// Removes the rows of a knowledge base that was closed, and revokes the API keys that reach it alone: one that is
    /// made later under the same id is not theirs. Returns whether there were any rows.
    pub async fn kb_delete(&self, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
        self.catalog.kb_delete("lifecycle.kb_delete", kb, now).await
    }

    /// Closes the tenant, whatever state it is in: it is being deprovisioned, and jobs that were stamped before
    /// are called off. Returns its new epoch; `None` when it is gone.
    pub async fn tenant_close(&self) -> StoreResult<Option<u64>> {
        self.catalog.tenant_close("lifecycle.tenant_close").await
    }

    /// All knowledge bases, closed ones too.
    pub async fn tenant_kbs(&self) -> StoreResult<Vec<Kb>> {
        self.catalog.kbs_all("lifecycle.tenant_kbs").await
    }

    /// Removes all rows of a tenant that was closed. What stays is its id and its epoch, so that nobody gets
    /// the id again. Returns whether it did.
    pub async fn tenant_delete(&self, now: DateTime<Utc>) -> StoreResult<bool> {
        self.catalog.tenant_delete("lifecycle.tenant_delete", now).await
    }
}
