//! Errors of a `SQLite` file, and which of them are worth a retry.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;

use crate::deadline::bounded;
use crate::error::{FaultKind, StoreError};
use crate::ports::StoreResult;

/// An error below the port, where the operation is not known yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] sqlx::Error),
    #[error("the file belongs to another tenant")]
    ForeignFile,
    #[error("the file cannot be made")]
    File(#[from] std::io::Error),
    /// The error of another call that was opening the same file.
    #[error("the file cannot be opened")]
    Open(#[source] Arc<Fault>),
}

impl Fault {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Sqlite(error) => sqlx_kind(error),
            Self::File(error) => FaultKind::of_io(error),
            Self::Open(fault) => fault.kind(),
            Self::ForeignFile => FaultKind::Permanent,
        }
    }

    fn met_by(self, operation: &'static str) -> StoreError {
        StoreError::of(self.kind(), operation, self)
    }
}

/// Whether the file is not a database, or damaged: CORRUPT, NOTADB.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
        }
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_damage(error),
            _ => false,
        },
        _ => false,
    }
}

pub(crate) fn sqlx_kind(error: &sqlx::Error) -> FaultKind {
    match error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().and_then(|code| code.parse::<i32>().ok());
            // The connection's transaction is not in the expected state, so the connection is replaced.
            let out_of_turn = code == Some(1) && refusal.message().contains("transaction");
            if out_of_turn { FaultKind::Transient } else { code.map_or(FaultKind::Permanent, code_kind) }
        }
        sqlx::Error::Io(error) => FaultKind::of_io(error),
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => sqlx_kind(error),
            _ => FaultKind::Permanent,
        },
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::InvalidSavePointStatement => FaultKind::Transient,
        _ => FaultKind::Permanent,
    }
}

/// What `SQLite`'s result codes say about a retry. The low byte of an extended code is the primary one.
fn code_kind(code: i32) -> FaultKind {
    match (code, code & 0xff) {
        // IOERR_DATA, IOERR_CORRUPTFS: the data read is not the data written.
        (8_202 | 8_458, _) => FaultKind::Permanent,
        // PERM, NOMEM, READONLY, IOERR, FULL, CANTOPEN, AUTH: the disk, its mount or its permissions have to be
        // fixed on the machine.
        (_, 3 | 7 | 8 | 10 | 13 | 14 | 23) => FaultKind::Unavailable,
        // ABORT, BUSY, LOCKED, INTERRUPT, PROTOCOL, SCHEMA: a concurrent writer was first.
        (_, 4 | 5 | 6 | 9 | 15 | 17) => FaultKind::Transient,
        // ERROR, INTERNAL, CORRUPT, NOTFOUND, TOOBIG, CONSTRAINT, MISMATCH, MISUSE, NOLFS, FORMAT, RANGE, NOTADB.
        _ => FaultKind::Permanent,
    }
}

/// Runs one call of a port under its deadline, and adds the operation to its error.
pub(crate) async fn call<T>(
    operation: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, Fault>> + Send,
) -> StoreResult<T> {
    bounded(operation, limit, async { call.await.map_err(|fault| fault.met_by(operation)) }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_code_has_its_kind() {
        let unavailable = [3, 7, 8, 10, 13, 14, 23];
        let transient = [4, 5, 6, 9, 15, 17];
        let permanent = [1, 2, 11, 12, 16, 18, 19, 20, 21, 22, 24, 25, 26];
        let extended = [
            // READONLY_DBMOVED, IOERR_READ, IOERR_WRITE, IOERR_FSYNC, IOERR_SHMSIZE, CANTOPEN_ISDIR
            (FaultKind::Unavailable, [1_032, 266, 778, 1_034, 4_874, 526].as_slice()),
            // BUSY_SNAPSHOT, LOCKED_SHAREDCACHE, ABORT_ROLLBACK
            (FaultKind::Transient, &[517, 262, 516]),
            // CONSTRAINT_UNIQUE, CORRUPT_INDEX, IOERR_DATA, IOERR_CORRUPTFS
            (FaultKind::Permanent, &[2_067, 779, 8_202, 8_458]),
        ];
        let primary = [
            (FaultKind::Unavailable, unavailable.as_slice()),
            (FaultKind::Transient, &transient),
            (FaultKind::Permanent, &permanent),
        ];
        for (kind, codes) in primary.into_iter().chain(extended) {
            for code in codes {
                assert_eq!(code_kind(*code), kind, "{code}");
            }
        }
        assert_eq!(
            unavailable.len() + transient.len() + permanent.len(),
            26,
            "every primary code of an error"
        );
    }

    #[test]
    fn a_busy_pool_passes_and_a_missing_row_stays() {
        assert!(Fault::from(sqlx::Error::PoolTimedOut).met_by("documents.parsed").is_transient());
        assert!(
            Fault::Open(Arc::new(sqlx::Error::PoolTimedOut.into())).met_by("index.counts").is_transient()
        );
        assert!(!Fault::from(sqlx::Error::RowNotFound).met_by("documents.parsed").is_transient());
        assert!(!Fault::ForeignFile.met_by("documents.parsed").is_transient());
    }
}
