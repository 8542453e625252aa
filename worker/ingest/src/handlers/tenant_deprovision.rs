//! `tenant.deprovision`: removes a closed tenant from every store, its catalog rows last so that a retry finds
//! them.

use jobs::JobError;
use jobs::types::DeprovisionTenant;
use stores::model::Kb;
use stores::{StoreError, TenantStores};
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use crate::registry::Product;

impl Handler<Product> for DeprovisionTenant {
    #[tracing::instrument(name = "tenant.deprovision", skip_all)]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let lifecycle = cx.stores().lifecycle();
        for kb in lifecycle.tenant_kbs().await? {
            empty_kb(cx.stores(), &kb).await?;
        }
        empty_tenant(cx.stores()).await?;
        if lifecycle.tenant_delete(cx.now()).await? {
            tracing::info!("the tenant is gone");
        }
        Ok(())
    }
}

/// A rerun continues where deletion stopped.
impl Reopen<Product> for DeprovisionTenant {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}

/// Removes a knowledge base's graph and chunks, texts and originals.
pub(super) async fn empty_kb(stores: &TenantStores, kb: &Kb) -> Result<(), StoreError> {
    stores.index().kb_forget(kb).await?;
    stores.documents().kb_forget(&kb.id).await?;
    stores.blobs().kb_forget(&kb.id).await
}

/// Removes a tenant's data outside of its knowledge bases, and what a store keeps for the tenant as a whole.
async fn empty_tenant(stores: &TenantStores) -> Result<(), StoreError> {
    stores.documents().tenant_forget().await?;
    stores.blobs().tenant_forget().await?;
    stores.cache().clear().await
}
