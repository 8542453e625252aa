//! The database of a tenant's texts and index.

use jobs::tenant::TenantId;

use crate::catalog::{Db, View};
use crate::deadline::CALL;
use crate::embedded::{TenantFiles, call};
use crate::ports::StoreResult;

/// One database for all tenants, or one file for each.
#[derive(Clone)]
pub(crate) enum ContentDb {
    /// The catalog's PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(Db),
    /// A SQLite file for each tenant, in the data directory.
    Files(TenantFiles),
}

impl ContentDb {
    /// A view of the tenant's rows. Creates and opens the tenant's file if needed.
    pub(crate) async fn view(&self, tenant: &TenantId, operation: &'static str) -> StoreResult<View> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(db) => Ok(db.tenant(tenant)),
            Self::Files(files) => {
                let file = call(operation, CALL, files.of(tenant)).await?;
                Ok(Db::Sqlite(file).tenant(tenant))
            }
        }
    }

    /// Deletes the tenant's file with all its data. Returns whether the tenants have files; if not, the caller has
    /// to delete the rows.
    pub(crate) async fn file_remove(&self, tenant: &TenantId, operation: &'static str) -> StoreResult<bool> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(false),
            Self::Files(files) => {
                call(operation, crate::deadline::BULK, files.remove(tenant)).await.map(|()| true)
            }
        }
    }
}
