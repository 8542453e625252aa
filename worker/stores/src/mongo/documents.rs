use std::ops::Range;
use std::sync::Arc;

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantId};
use mongodb::bson::{Document, doc};

use super::extractions::{self, EXTRACTIONS};
use super::parsed::{self, PARSED, PARTS, Parsed};
use super::server::Mongo;
use crate::deadline::{BULK, CALL, within};
use crate::model::{Extraction, ParsedDocument};
use crate::ports::{Documents, StoreResult};
use crate::scoped::Scope;

/// Makes the documents of one tenant.
pub(crate) struct MongoDocuments {
    mongo: Mongo,
}

impl MongoDocuments {
    pub(crate) fn new(mongo: Mongo) -> Self {
        Self { mongo }
    }
}

impl Scope<dyn Documents> for MongoDocuments {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Documents> {
        Arc::new(TenantDocuments { mongo: self.mongo.clone(), tenant: tenant.clone() })
    }
}

struct TenantDocuments {
    mongo: Mongo,
    tenant: TenantId,
}

impl TenantDocuments {
    fn parsed_texts(&self) -> Parsed {
        let collection = |name| self.mongo.tenant(name, &self.tenant);
        Parsed { heads: collection(PARSED), parts: collection(PARTS) }
    }

    /// Removes what a filter lets through, of every kind.
    async fn forget(&self, operation: &'static str, filter: &Document) -> StoreResult<()> {
        for name in [PARSED, PARTS, EXTRACTIONS] {
            let collection = self.mongo.tenant(name, &self.tenant);
            within(operation, BULK, collection.delete(operation, filter.clone())).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Documents for TenantDocuments {
    async fn provision(&self) -> StoreResult<()> {
        const PROVISION: &str = "documents.provision";
        let indexes: [(_, &[&str]); 3] =
            [(PARSED, &parsed::INDEX), (PARTS, &parsed::INDEX), (EXTRACTIONS, &extractions::INDEX)];
        for (name, fields) in indexes {
            let collection = self.mongo.tenant(name, &self.tenant);
            within(PROVISION, CALL, collection.provision(PROVISION, fields)).await?;
        }
        Ok(())
    }

    async fn parsed_put(&self, kb: &KbId, id: &DocumentId, parsed: &ParsedDocument) -> StoreResult<()> {
        within("documents.parsed_put", BULK, self.parsed_texts().put(kb, id, parsed)).await
    }

    async fn parsed(&self, kb: &KbId, id: &DocumentId) -> StoreResult<Option<ParsedDocument>> {
        within("documents.parsed", BULK, self.parsed_texts().get(kb, id)).await
    }

    async fn parsed_forget(&self, kb: &KbId, id: &DocumentId) -> StoreResult<()> {
        within("documents.parsed_forget", CALL, self.parsed_texts().forget(kb, id)).await
    }

    async fn extractions_put(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        extractions: &[(u32, Extraction)],
    ) -> StoreResult<()> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        let put = extractions::put(&collection, kb, id, revision, extractions);
        within("documents.extractions_put", BULK, put).await
    }

    async fn extractions(
        &self,
        kb: &KbId,
        id: &DocumentId,
        revision: u64,
        orders: Range<u32>,
    ) -> StoreResult<Vec<(u32, Extraction)>> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        within("documents.extractions", BULK, extractions::of_revision(&collection, kb, id, revision, orders))
            .await
    }

    async fn extractions_forget(&self, kb: &KbId, id: &DocumentId, keep: Option<u64>) -> StoreResult<()> {
        let collection = self.mongo.tenant(EXTRACTIONS, &self.tenant);
        within("documents.extractions_forget", CALL, extractions::forget(&collection, kb, id, keep)).await
    }

    async fn kb_forget(&self, kb: &KbId) -> StoreResult<()> {
        self.forget("documents.kb_forget", &doc! { "kb_id": kb.as_str() }).await
    }

    async fn tenant_forget(&self) -> StoreResult<()> {
        self.forget("documents.tenant_forget", &doc! {}).await
    }
}
