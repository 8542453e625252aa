//! Tenants and contexts for programs that embed the worker and authenticate their users themselves.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::plan::Plans;
use jobs::tenant::{
    Actor, Authenticated, DirectoryError, KbId, Role, TenantContext, TenantDirectory, TenantId, TenantStatus,
};
use stores::model::{Acceptance, NewTenant, WorkspaceId};
use stores::{StoreError, Stores, TenantStores};

/// Creates tenants, and contexts for actors whose credentials the embedding program has checked.
#[derive(Clone)]
pub struct Tenants {
    pub(crate) stores: Stores,
    pub(crate) directory: Arc<dyn TenantDirectory>,
    pub(crate) clock: SharedClock,
}

/// Why a context is not granted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    Unknown(TenantId),
    /// The tenant is closed, or not ready yet.
    #[error("the tenant is {0}")]
    NotActive(TenantStatus),
    /// The directory did not answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Tenants {
    /// Creates the tenant in this worker's stores, with its first knowledge base, unless it exists. An installation
    /// that also runs the API creates its tenants there.
    ///
    /// # Errors
    /// When a store is away; call it again then.
    pub async fn ensure(&self, tenant: &TenantId, name: &str) -> Result<(), StoreError> {
        let who = operator(tenant);
        let (stores, now) = (self.stores.scoped(&who), self.clock.now());
        let new = NewTenant::new(name, Plans::USUAL);
        let acceptance = Acceptance { tenant: Some(new), ..Acceptance::default() };
        stores.catalog().accept(&acceptance, now).await?;
        prepare_stores(&stores, now).await?;
        let (from, to) = (TenantStatus::Provisioning, TenantStatus::Active);
        stores.catalog().tenant_status_move(from, to).await?;
        // The embedding program sets its tenants' limits on the queue itself, so the limits sync must not write
        // them.
        if let Some(tenant) = stores.catalog().tenant().await? {
            stores.catalog().tenant_settings_applied(tenant.revision).await?;
        }
        Ok(())
    }

    /// A context with which `actor` acts for `tenant` on its first knowledge base.
    ///
    /// Call it only after you have authenticated the actor: nothing here checks credentials. The actor may do at
    /// most what `role` allows and the directory confirms, and every job checks that again when it runs.
    ///
    /// # Errors
    /// When the tenant is unknown or not active, or the directory is away.
    pub async fn admit(
        &self,
        tenant: &TenantId,
        actor: Actor,
        role: Role,
    ) -> Result<TenantContext, NotAdmitted> {
        let record = self.directory.tenant(tenant).await?;
        let record = record.ok_or_else(|| NotAdmitted::Unknown(tenant.clone()))?;
        if record.status != TenantStatus::Active {
            return Err(NotAdmitted::NotActive(record.status));
        }
        let kb = KbId::first();
        let kb_id = self.directory.kb_exists(tenant, &kb).await?.then_some(kb);
        let permissions = self.directory.permissions(tenant, kb_id.as_ref(), &actor, role).await?;
        let epoch = record.epoch;
        Ok(context(Authenticated { tenant_id: tenant.clone(), epoch, kb_id, actor, role, permissions }))
    }
}

fn operator(tenant: &TenantId) -> TenantContext {
    context(Authenticated {
        tenant_id: tenant.clone(),
        epoch: 0,
        kb_id: None,
        actor: Actor::Operator,
        role: Role::Admin,
        permissions: Role::Admin.permissions(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "an embedding program is its own front door, where the API is that of the product"
)]
fn context(who: Authenticated) -> TenantContext {
    TenantContext::for_request(who)
}

/// Creates the tenant's first knowledge base and prepares every store for it. Every step is idempotent.
///
/// # Errors
/// When a store is away; call it again then.
pub async fn prepare_stores(stores: &TenantStores, now: DateTime<Utc>) -> Result<(), StoreError> {
    let workspace = WorkspaceId::generate(now, rand::random());
    let kb = stores.catalog().kb_ensure(&KbId::first(), "Default", &workspace, now).await?;
    stores.documents().provision().await?;
    // Before anything is written into the workspace: the constraint cannot be added afterwards.
    stores.index().provision(&kb).await
}
