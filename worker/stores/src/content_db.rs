//! The database of a tenant's texts and index: PostgreSQL for all tenants, or a SQLite file for each, opened on demand,
//! a bounded number at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobs::tenant::TenantId;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteSynchronous;

use crate::catalog::{Db, View};
use crate::deadline::{BULK, CALL, bounded};
use crate::embedded::{Fault, SqliteFile, SqliteUsage};
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
                let opened = async { files.of(tenant).await.map_err(|fault| fault.met_by(operation)) };
                Ok(Db::Sqlite(bounded(operation, CALL, opened).await?).tenant(tenant))
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
                let removed = async { files.remove(tenant).await.map_err(|fault| fault.met_by(operation)) };
                bounded(operation, BULK, removed).await.map(|()| true)
            }
        }
    }
}

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite/tenant");
/// Survives the end of the process. A power failure may lose the last moments, which a reindex restores from the
/// originals.
pub(crate) const USAGE: SqliteUsage =
    SqliteUsage { migrations: &MIGRATIONS, synchronous: SqliteSynchronous::Normal, readers_max: 2 };
/// Each open file costs up to three threads.
const OPEN_MAX: u64 = 64;
const IDLE: Duration = Duration::from_secs(60);

/// All tenants' files, of which a bounded number is open. A file that is evicted while a call uses it stays open
/// for that call.
#[derive(Clone)]
pub(crate) struct TenantFiles {
    directory: PathBuf,
    open: Cache<TenantId, Arc<SqliteFile>>,
}

impl TenantFiles {
    pub(crate) fn new(directory: PathBuf) -> Self {
        // Least recently used: the default policy may reject a new file in favour of older ones.
        let open = Cache::builder()
            .max_capacity(OPEN_MAX)
            .time_to_idle(IDLE)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { directory, open }
    }

    /// The tenant's file, opened and created if needed.
    async fn of(&self, tenant: &TenantId) -> Result<Arc<SqliteFile>, Fault> {
        if let Some(file) = self.open.get(tenant).await {
            return Ok(file);
        }
        // Boxed, so that the futures of the many calls that find the file open stay small.
        let opening = Box::pin(self.open.try_get_with_by_ref(tenant, self.open_file(tenant)));
        opening.await.map_err(Fault::Open)
    }

    /// Deletes the tenant's file. Another process that has it open writes into the deleted file.
    async fn remove(&self, tenant: &TenantId) -> Result<(), Fault> {
        if let Some(file) = self.open.remove(tenant).await {
            // A connection that is closed later would create a new file beside the deleted one.
            file.close().await;
        }
        for name in [format!("{tenant}.db"), format!("{tenant}.db-wal"), format!("{tenant}.db-shm")] {
            match tokio::fs::remove_file(self.directory.join(name)).await {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }

    async fn open_file(&self, tenant: &TenantId) -> Result<Arc<SqliteFile>, Fault> {
        let file = SqliteFile::open(&self.directory.join(format!("{tenant}.db")), &USAGE).await?;
        own(&file, tenant).await?;
        Ok(Arc::new(file))
    }
}

/// Records the owner in a new file, and refuses a file of another tenant.
async fn own(file: &SqliteFile, tenant: &TenantId) -> Result<(), Fault> {
    let mut tx = file.begin().await?;
    sqlx::query("INSERT INTO owner (one, tenant_id) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .execute(&mut *tx)
        .await?;
    let owner: String = sqlx::query_scalar("SELECT tenant_id FROM owner").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    if owner == tenant.as_str() { Ok(()) } else { Err(Fault::ForeignFile) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_in_another_tenants_place_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let tenant = |id: &str| -> TenantId { id.parse().unwrap() };
        let files = TenantFiles::new(directory.path().to_owned());
        let file = files.of(&tenant("acme")).await.unwrap();
        let again = files.of(&tenant("acme")).await.unwrap();
        assert!(Arc::ptr_eq(&file, &again));
        file.write().close().await;

        std::fs::copy(directory.path().join("acme.db"), directory.path().join("acme-2.db")).unwrap();
        match files.of(&tenant("acme-2")).await {
            Err(Fault::Open(fault)) => assert!(matches!(*fault, Fault::ForeignFile), "{fault}"),
            other => panic!("{:?}", other.map(drop)),
        }
    }
}
