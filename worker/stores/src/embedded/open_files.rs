use std::path::Path;
use std::sync::Arc;

use jobs::clock::SharedClock;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteSynchronous;

use super::fault::{Fault, is_damage};
use super::file::{SqliteFile, Usage};
use crate::catalog::{Catalogs, Db};
use crate::config::InvalidStores;
use crate::content_db::{ContentDb, TenantFiles};
use crate::data_dir;
use crate::directory::DirectoryInvalidation;
use crate::documents::sql::SqlDocuments;
use crate::index::sql::{Graph, SqlIndex};
use crate::open::Backend;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite/catalog");
/// Synchronous, because accepted requests have to survive a power failure.
const USAGE: Usage = Usage { migrations: &MIGRATIONS, synchronous: SqliteSynchronous::Full, readers_max: 4 };

/// The error for a catalog file that cannot be used.
fn refused(path: &Path, fault: &Fault) -> InvalidStores {
    let file = path.display();
    let problem = match fault {
        Fault::File(error) => return data_dir::unusable(path, error),
        Fault::Sqlite(error) if is_damage(error) => {
            let cause = jobs::error::root(error);
            format!("{file} is damaged ({cause}): restore it from a copy, or choose another directory")
        }
        Fault::Sqlite(sqlx::Error::Migrate(error)) if matches!(**error, MigrateError::VersionMissing(_)) => {
            format!(
                "{file} was written by a newer version of Tenantry: run that one, or choose another directory"
            )
        }
        Fault::Sqlite(sqlx::Error::Migrate(error)) if matches!(**error, MigrateError::VersionMismatch(_)) => {
            format!(
                "{file} was written by another version of Tenantry: run that one, or choose another directory"
            )
        }
        fault => {
            let cause = jobs::error::root(fault);
            format!(
                "{file} cannot be opened ({cause}): see that this user may write to it and that its disk has room"
            )
        }
    };
    InvalidStores::Unreachable { setting: data_dir::SETTING, problem }
}

/// Opens the files in the data directory, and creates them if needed.
///
/// # Errors
/// When the directory or a file in it cannot be used.
pub(crate) async fn open(
    data: &Path,
    clock: SharedClock,
    invalidation: DirectoryInvalidation,
) -> Result<Backend, InvalidStores> {
    data_dir::ensure(data)?;
    let content = ContentDb::Files(TenantFiles::new(data_dir::private_dir(&data.join("tenants"))?));
    let path = data.join("catalog.db");
    let catalog = SqliteFile::open(&path, &USAGE).await.map_err(|fault| refused(&path, &fault))?;
    Ok(Backend {
        catalogs: Catalogs::new(Db::Sqlite(Arc::new(catalog)), invalidation, clock),
        documents: Box::new(SqlDocuments::new(content.clone())),
        index: Box::new(SqlIndex::new(content, Graph::Sql)),
    })
}
