//! The type of one tenant's catalog, and its factory.

use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::tenant::TenantId;

use super::{
    AuditRetention, Db, DirectoryRows, DueSchedules, Identities, Measures, OutboxRelay, SettingsRelay, Sql,
    Tx, UnfinishedJobs, View, WebhookRelay, sql,
};
use crate::directory::DirectoryInvalidation;
use crate::live::Publisher;
use crate::model::Event;
use crate::ports::StoreResult;
use crate::scoped::Scope;

/// Creates the catalog of each tenant, and the types that work across tenants.
#[derive(Clone)]
pub(crate) struct Catalogs {
    pub(super) db: Db,
    invalidation: DirectoryInvalidation,
    clock: SharedClock,
    publisher: Option<Publisher>,
}

impl Catalogs {
    pub(crate) const fn new(db: Db, invalidation: DirectoryInvalidation, clock: SharedClock) -> Self {
        Self { db, invalidation, clock, publisher: None }
    }

    /// The same, telling listeners what changes.
    pub(crate) fn told_by(self, publisher: Publisher) -> Self {
        Self { publisher: Some(publisher), ..self }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> Catalog {
        Catalog {
            rows: self.db.tenant(tenant),
            tenant: tenant.clone(),
            invalidation: self.invalidation.clone(),
            clock: Arc::clone(&self.clock),
            publisher: self.publisher.clone(),
        }
    }

    // What looks across tenants.

    pub(crate) fn directory_rows(&self) -> DirectoryRows {
        DirectoryRows::new(self.db.clone())
    }

    pub(crate) fn outbox(&self) -> OutboxRelay {
        OutboxRelay::new(self.clone())
    }

    pub(crate) fn unfinished(&self) -> UnfinishedJobs {
        UnfinishedJobs::new(self.clone())
    }

    pub(crate) fn schedules(&self) -> DueSchedules {
        DueSchedules::new(self.clone())
    }

    pub(crate) fn settings(&self) -> SettingsRelay {
        SettingsRelay::new(self.clone())
    }

    pub(crate) fn webhooks(&self) -> WebhookRelay {
        WebhookRelay::new(self.clone())
    }

    pub(crate) fn audit_retention(&self) -> AuditRetention {
        AuditRetention::new(self.db.clone())
    }

    pub(crate) fn measures(&self) -> Measures {
        Measures::new(self.clone())
    }

    pub(crate) fn identities(&self) -> Identities {
        Identities::new(self.clone())
    }
}

impl Scope<Catalog> for Catalogs {
    fn scope(&self, tenant: &TenantId) -> Arc<Catalog> {
        Arc::new(self.of(tenant))
    }
}

/// The tenant's rows in the catalog.
///
/// Errors of every method: [`crate::StoreError::Unavailable`] and [`crate::StoreError::Transient`] when the database is
/// away or did not finish, `Permanent` when it refuses.
#[derive(Clone)]
pub struct Catalog {
    pub(super) rows: View,
    pub(super) tenant: TenantId,
    pub(super) invalidation: DirectoryInvalidation,
    pub(super) clock: SharedClock,
    publisher: Option<Publisher>,
}

impl Catalog {
    /// A statement whose `$1` is bound to the tenant.
    pub(super) fn sql(&self, text: &'static str) -> Sql<'_> {
        sql(text).bind(self.tenant.as_str())
    }

    /// Invalidates what directory caches in all processes hold of the tenant. Returns `outcome`.
    pub(super) async fn announced<T>(&self, outcome: T) -> T {
        self.invalidation.tenant_changed(&self.tenant).await;
        outcome
    }

    /// Tells the tenant's listeners. Call it after the commit.
    pub(super) fn tell(&self, event: Event) {
        if let Some(publisher) = &self.publisher {
            publisher.tell(&self.tenant, event);
        }
    }

    /// Locks the tenant until the end of the transaction. Transactions that had the lock before are visible
    /// afterwards, so counts and free names that are read under the lock stay true. Call it before anything takes a
    /// weaker lock on the tenant's row: two transactions that upgrade their lock would deadlock.
    pub(super) async fn lock(&self, tx: &mut Tx) -> StoreResult<()> {
        // Not "for update": that would also stand in the way of new rows that refer to the tenant.
        let lock = self.sql("select 1 as found from tenants where tenant_id = $1 {for no key update}");
        tx.optional(lock, |_| Ok(())).await.map(drop)
    }
}
