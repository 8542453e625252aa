//! Where a tenant's texts and index are.

use jobs::tenant::TenantId;

use crate::catalog::{Db, View};
use crate::deadline::CALL;
use crate::embedded::{TenantFiles, call};
use crate::ports::StoreResult;

/// One database for all tenants, or a file for each.
#[derive(Clone)]
pub(crate) enum ContentDb {
    /// The catalog's PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(Db),
    /// A SQLite file for each tenant, in the data directory.
    Files(TenantFiles),
}

impl ContentDb {
    /// The tenant's rows. Opens its file if it is not open, and makes it if there is none.
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

    /// Removes the tenant's file with everything in it. Returns whether there is one; if not, its rows have to be
    /// deleted.
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
