//! The catalog of one tenant, and what makes it.

use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::tenant::TenantId;

use super::{Db, DirectoryRows, DueSchedules, Identities, OutboxRelay, SettingsRelay, Sql, Tx, View, sql};
use crate::directory::DirectoryNews;
use crate::ports::StoreResult;
use crate::scoped::Scope;

/// Makes the catalog of each tenant.
#[derive(Clone)]
pub(crate) struct Catalogs {
    pub(super) db: Db,
    news: DirectoryNews,
    clock: SharedClock,
}

impl Catalogs {
    pub(crate) const fn new(db: Db, news: DirectoryNews, clock: SharedClock) -> Self {
        Self { db, news, clock }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> Catalog {
        Catalog {
            rows: self.db.tenant(tenant),
            tenant: tenant.clone(),
            news: self.news.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    // What looks across tenants.

    pub(crate) fn directory_rows(&self) -> DirectoryRows {
        DirectoryRows::new(self.db.clone())
    }

    pub(crate) fn outbox(&self) -> OutboxRelay {
        OutboxRelay::new(self.db.clone())
    }

    pub(crate) fn schedules(&self) -> DueSchedules {
        DueSchedules::new(self.clone())
    }

    pub(crate) fn settings(&self) -> SettingsRelay {
        SettingsRelay::new(self.clone())
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

/// The tenant's rows in the catalog: what exists, what was asked for, and what became of it.
///
/// Errors of every method: [`crate::StoreError::Unavailable`] and [`crate::StoreError::Transient`] when the database is
/// away or did not finish, `Permanent` when it refuses.
#[derive(Clone)]
pub struct Catalog {
    pub(super) rows: View,
    pub(super) tenant: TenantId,
    pub(super) news: DirectoryNews,
    pub(super) clock: SharedClock,
}

impl Catalog {
    /// A statement whose `$1` is the tenant.
    pub(super) fn sql(&self, text: &'static str) -> Sql<'_> {
        sql(text).bind(self.tenant.as_str())
    }

    /// Tells every process that what the directory knows of the tenant changed. Returns `outcome`.
    pub(super) async fn announced<T>(&self, outcome: T) -> T {
        self.news.tenant_changed(&self.tenant).await;
        outcome
    }

    /// Takes the tenant's lock: from here to the end of the transaction no other one of the tenant has it, and what
    /// those that had it committed is seen, so what is counted or found to be free stays so. Call it before anything
    /// takes a weaker lock on the tenant's row: two that want more at the same time would wait for each other.
    pub(super) async fn lock(&self, tx: &mut Tx) -> StoreResult<()> {
        // Not "for update": that would also stand in the way of new rows that refer to the tenant.
        let lock = self.sql("select 1 as found from tenants where tenant_id = $1 {for no key update}");
        tx.optional(lock, |_| Ok(())).await.map(drop)
    }
}
