//! What can go wrong in a `SQLite` file, and which of it passes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;

use crate::deadline::within;
use crate::error::StoreError;
use crate::ports::StoreResult;

/// A fault below the port, before it is known which operation met it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] sqlx::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("the column {0} holds what cannot be read")]
    Column(&'static str),
    #[error("{0}")]
    Conflict(&'static str),
    #[error("the file belongs to another tenant")]
    ForeignFile,
    #[error("the file cannot be made")]
    File(#[from] std::io::Error),
    /// Several calls waited for one file to open.
    #[error("the file cannot be opened")]
    Open(#[source] Arc<Fault>),
}

impl Fault {
    fn passes(&self) -> bool {
        match self {
            Self::Sqlite(error) => sqlite_passes(error),
            Self::File(_) => true,
            Self::Open(fault) => fault.passes(),
            Self::Json(_) | Self::Column(_) | Self::Conflict(_) | Self::ForeignFile => false,
        }
    }

    fn met_by(self, operation: &'static str) -> StoreError {
        match self {
            Self::Conflict(what) => StoreError::Conflict { operation, what },
            fault if fault.passes() => StoreError::transient(operation, fault),
            fault => StoreError::permanent(operation, fault),
        }
    }
}

/// `SQLite`'s primary result codes that another attempt may not meet: busy, locked, out of memory, input or
/// output failed, disk full, file not opened.
const PASSING: [i32; 6] = [5, 6, 7, 10, 13, 14];

/// 0, which is no error's code, when there is none.
pub(super) fn primary_code(refusal: &dyn sqlx::error::DatabaseError) -> i32 {
    let code = refusal.code().and_then(|code| code.parse::<i32>().ok());
    // The low byte of an extended code is the primary one.
    code.unwrap_or_default() & 0xff
}

/// Whether the file is no database, or no whole one.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    const DAMAGE: [i32; 2] = [11, 26];
    match error {
        sqlx::Error::Database(refusal) => DAMAGE.contains(&primary_code(refusal.as_ref())),
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_damage(error),
            _ => false,
        },
        _ => false,
    }
}

fn sqlite_passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => PASSING.contains(&primary_code(refusal.as_ref())),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Runs one call of a port under its deadline and says which operation failed.
pub(super) async fn call<T>(
    operation: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, Fault>> + Send,
) -> StoreResult<T> {
    within(operation, limit, async { call.await.map_err(|fault| fault.met_by(operation)) }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_pool_passes_and_a_missing_row_stays() {
        assert!(Fault::from(sqlx::Error::PoolTimedOut).met_by("catalog.kb").is_transient());
        assert!(
            Fault::Open(Arc::new(sqlx::Error::PoolTimedOut.into())).met_by("index.counts").is_transient()
        );
        assert!(!Fault::from(sqlx::Error::RowNotFound).met_by("catalog.kb").is_transient());
        assert!(!Fault::ForeignFile.met_by("documents.parsed").is_transient());
    }
}
