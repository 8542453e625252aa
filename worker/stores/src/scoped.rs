//! From a context to that tenant's stores: there is no other way.

use std::sync::Arc;

use jobs::tenant::{TenantContext, TenantId};

use crate::catalog::{Catalog, Catalogs, Lifecycle};
use crate::live::{Hub, Publisher, TenantLive};
use crate::model::JobRecord;
use crate::ports::{Blobs, Cache, Documents, Index, StoreResult};

/// Creates the stores of one tenant. One implementation for each port and kind of server.
pub(crate) trait Scope<P: ?Sized>: Send + Sync {
    /// The port, bound to `tenant`.
    fn scope(&self, tenant: &TenantId) -> Arc<P>;
}

pub(crate) struct Ports {
    pub(crate) catalogs: Catalogs,
    pub(crate) documents: Box<dyn Scope<dyn Documents>>,
    pub(crate) index: Box<dyn Scope<dyn Index>>,
    pub(crate) blobs: Box<dyn Scope<dyn Blobs>>,
    pub(crate) cache: Box<dyn Scope<dyn Cache>>,
    pub(crate) publisher: Publisher,
    pub(crate) hub: Hub,
}

/// All stores of all tenants. Gives access to one tenant at a time, to the holder of that tenant's context.
///
/// ```compile_fail,E0616
/// fn detour(stores: stores::Stores) {
///     let _ = stores.ports;
/// }
/// ```
#[derive(Clone)]
pub struct Stores {
    ports: Arc<Ports>,
}

impl Stores {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports: Arc::new(ports) }
    }

    /// The catalog of a tenant, for code in this crate that works across tenants.
    pub(crate) fn catalog_of(&self, tenant: &TenantId) -> Catalog {
        self.ports.catalogs.of(tenant)
    }

    /// Stores records of jobs of several tenants, all or none, each tenant's as [`Catalog::history_insert`] does.
    ///
    /// # Errors
    /// As those of [`Catalog`].
    pub async fn histories_insert<'a>(
        &self,
        records: impl IntoIterator<Item = (&'a TenantContext, &'a [JobRecord])>,
    ) -> StoreResult<()> {
        let of_tenant = |(context, records): (&'a TenantContext, _)| (context.tenant_id(), records);
        self.ports.catalogs.histories_insert(records.into_iter().map(of_tenant).collect()).await
    }

    /// Waits until the events that were told before are published, or cannot be. Call it before the program ends.
    pub async fn events_flush(&self) {
        self.ports.publisher.flush().await;
    }

    /// The stores of the context's tenant.
    #[must_use]
    pub fn scoped(&self, context: &TenantContext) -> TenantStores {
        TenantStores { ports: Arc::clone(&self.ports), tenant: context.tenant_id().clone() }
    }
}

/// The stores of one tenant.
#[derive(Clone)]
pub struct TenantStores {
    ports: Arc<Ports>,
    tenant: TenantId,
}

impl TenantStores {
    /// Tenant, documents, members, keys, outbox and history.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        self.ports.catalogs.of(&self.tenant)
    }

    /// Deletion of documents, knowledge bases and the tenant.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        Lifecycle::new(self.catalog())
    }

    /// Texts of documents, and what was extracted from them.
    #[must_use]
    pub fn documents(&self) -> Arc<dyn Documents> {
        self.ports.documents.scope(&self.tenant)
    }

    /// Chunks, entities and relations, which queries read.
    #[must_use]
    pub fn index(&self) -> Arc<dyn Index> {
        self.ports.index.scope(&self.tenant)
    }

    /// Uploaded originals.
    #[must_use]
    pub fn blobs(&self) -> Arc<dyn Blobs> {
        self.ports.blobs.scope(&self.tenant)
    }

    /// Progress, and events that listeners follow.
    #[must_use]
    pub fn live(&self) -> TenantLive {
        let (publisher, hub) = (self.ports.publisher.clone(), self.ports.hub.clone());
        TenantLive::new(publisher, hub, self.cache(), self.tenant.clone())
    }

    /// Small values that may be lost.
    #[must_use]
    pub fn cache(&self) -> Arc<dyn Cache> {
        self.ports.cache.scope(&self.tenant)
    }
}
