use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};

use super::port::{PgCatalog, PgCatalogs};
use super::{closing, deletion, kb, tenant};
use crate::model::Kb;
use crate::ports::{Lifecycle, StoreResult};
use crate::scoped::Scope;

impl Scope<dyn Lifecycle> for PgCatalogs {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Lifecycle> {
        Arc::new(self.of(tenant))
    }
}

#[async_trait::async_trait]
impl Lifecycle for PgCatalog {
    async fn document_deletion_begin(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<u64>> {
        deletion::document_begin(&self.db, kb, id, revision, now).await
    }

    async fn document_delete(&self, kb: &KbId, id: &DocumentId, revision: u64) -> StoreResult<bool> {
        deletion::document(&self.db, kb, id, revision).await
    }

    async fn kb_closed(&self, kb: &KbId) -> StoreResult<Option<Kb>> {
        Ok(tenant::kb(&self.db, kb).await?.filter(|kb| kb.is_closed))
    }

    async fn kb_delete(&self, id: &KbId, now: DateTime<Utc>) -> StoreResult<bool> {
        let gone = kb::delete(&self.db, id, now).await?;
        Ok(self.announced(gone).await)
    }

    async fn tenant_close(&self) -> StoreResult<Option<u64>> {
        let epoch = closing::close(&self.db).await?;
        Ok(self.announced(epoch).await)
    }

    async fn tenant_kbs(&self) -> StoreResult<Vec<Kb>> {
        closing::kbs(&self.db).await
    }

    async fn tenant_delete(&self, now: DateTime<Utc>) -> StoreResult<bool> {
        let tenant = tenant::tenant(&self.db).await?;
        let gone = closing::delete(&self.db, now).await?;
        if gone {
            self.news.slugs().changed(tenant.as_ref().map(|tenant| tenant.slug.as_str()), None).await;
        }
        Ok(self.announced(gone).await)
    }
}
