//! What nobody needs any more, in every store but the catalog.

use stores::model::Kb;
use stores::{StoreError, TenantStores};

/// Removes what a knowledge base holds: its graph and chunks, its texts, its originals.
pub(super) async fn empty_kb(stores: &TenantStores, kb: &Kb) -> Result<(), StoreError> {
    stores.index().kb_forget(kb).await?;
    stores.documents().kb_forget(&kb.id).await?;
    stores.blobs().kb_forget(&kb.id).await
}

/// Removes what a tenant holds outside of its knowledge bases, and what a store keeps for the tenant as a whole.
pub(super) async fn empty_tenant(stores: &TenantStores) -> Result<(), StoreError> {
    stores.documents().tenant_forget().await?;
    stores.blobs().tenant_forget().await?;
    stores.cache().clear().await
}
