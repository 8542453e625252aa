use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};

use super::deletion;
use super::port::{SqliteCatalog, TenantCatalog};
use crate::deadline::CALL;
use crate::embedded::fault::call;
use crate::ports::{Lifecycle, StoreResult};
use crate::scoped::Scope;

impl Scope<dyn Lifecycle> for SqliteCatalog {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Lifecycle> {
        Arc::new(self.of(tenant))
    }
}

#[async_trait::async_trait]
impl Lifecycle for TenantCatalog {
    async fn document_deletion_begin(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>> {
        let begin = deletion::document_begin(self, kb, id, revision, now);
        call("lifecycle.document_deletion_begin", CALL, begin).await
    }

    async fn document_delete(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        call("lifecycle.document_delete", CALL, deletion::document(self, kb, id, revision)).await
    }
}
