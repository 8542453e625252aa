//! What every new tenant needs.

use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use stores::model::WorkspaceId;
use stores::{StoreError, TenantStores};

/// Makes the tenant's first knowledge base and prepares every store for it. Every step is "create if absent".
pub(crate) async fn prepare_stores(stores: &TenantStores, now: DateTime<Utc>) -> Result<(), StoreError> {
    let workspace = WorkspaceId::generate(now, rand::random());
    let kb = stores.catalog().kb_ensure(&KbId::first(), "Default", &workspace, now).await?;
    stores.documents().provision().await?;
    // Before anything is written into the workspace: the constraint cannot be added afterwards.
    stores.index().provision(&kb).await
}
