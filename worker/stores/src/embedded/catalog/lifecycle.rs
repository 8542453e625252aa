use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};

use super::port::{SqliteCatalog, TenantCatalog};
use super::{closing, deletion, kbs, tenants};
use crate::deadline::{BULK, CALL};
use crate::embedded::fault::call;
use crate::model::Kb;
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

    async fn kb_closed(&self, kb: &KbId) -> StoreResult<Option<Kb>> {
        let found = call("lifecycle.kb_closed", CALL, tenants::kb(self, kb)).await?;
        Ok(found.filter(|kb| kb.is_closed))
    }

    async fn kb_delete(&self, kb: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
        call("lifecycle.kb_delete", BULK, kbs::delete(self, kb, now)).await
    }

    async fn tenant_close(&self) -> StoreResult<Option<u64>> {
        call("lifecycle.tenant_close", CALL, closing::close(self)).await
    }

    async fn tenant_kbs(&self) -> StoreResult<Vec<Kb>> {
        call("lifecycle.tenant_kbs", CALL, closing::kbs(self)).await
    }

    async fn tenant_delete(&self, now: DateTime<Utc>) -> StoreResult<bool> {
        let tenant = call("lifecycle.tenant_delete", CALL, tenants::tenant(self)).await?;
        let gone = call("lifecycle.tenant_delete", BULK, closing::delete(self, now)).await?;
        if gone {
            self.news.slugs().changed(tenant.as_ref().map(|tenant| tenant.slug.as_str()), None).await;
        }
        Ok(gone)
    }
}
