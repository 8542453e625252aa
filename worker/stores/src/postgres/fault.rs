//! Classifies errors of the PostgreSQL driver.

use sqlx::migrate::MigrateError;

use crate::error::{FaultKind, StoreError};

/// Converts an error of the driver in `operation`.
pub(super) fn fault(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::of(kind(&error), operation, error)
}

/// What an error says about a retry.
pub(crate) fn kind(error: &sqlx::Error) -> FaultKind {
    match error {
        sqlx::Error::Database(error) => error.code().map_or(FaultKind::Permanent, |code| code_kind(&code)),
        sqlx::Error::Io(error) => FaultKind::of_io(error),
        // The pool retries to connect until its own deadline.
        sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => FaultKind::Unavailable,
        // The connection was ended in place of an answer: by a proxy whose server is away, or within a message.
        sqlx::Error::Protocol(what) if what.contains("SSLRequest") => FaultKind::Unavailable,
        sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::InvalidSavePointStatement => FaultKind::Transient,
        sqlx::Error::Migrate(error) => match error.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => kind(error),
            _ => FaultKind::Permanent,
        },
        _ => FaultKind::Permanent,
    }
}

/// SQLSTATE codes: single ones first, then classes.
fn code_kind(code: &str) -> FaultKind {
    match code {
        // Read-only: a standby, or a managed server whose disk is full. No such database.
        "25006" | "3D000" => FaultKind::Unavailable,
        // Out of memory, a configured limit, a statement that was cancelled or took too long, an idle session that
        // was ended, an object in use, a lock: the call may be the cause. A transaction that took too long or is
        // not in the expected state.
        "53200" | "53400" | "57014" | "57P05" | "55006" | "55P03" | "25000" | "25001" | "25P01" | "25P02"
        | "25P03" | "25P04" => FaultKind::Transient,
        code => match code.get(..2) {
            // Connections, credentials, resources (a full disk among them), shutdowns and starts, the system.
            Some("08" | "28" | "53" | "57" | "58") => FaultKind::Unavailable,
            // Rolled back: deadlocks, serialization.
            Some("40") => FaultKind::Transient,
            _ => FaultKind::Permanent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_has_its_kind() {
        let table = [
            (
                FaultKind::Unavailable,
                &[
                    "08000", "08001", "08003", "08004", "08006", "25006", "28000", "28P01", "3D000", "53000",
                    "53100", "53300", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "58P01",
                ][..],
            ),
            (
                FaultKind::Transient,
                &[
                    "40001", "40003", "40P01", "25000", "25001", "25P01", "25P02", "25P03", "25P04", "53200",
                    "53400", "55006", "55P03", "57014", "57P05",
                ],
            ),
            (
                FaultKind::Permanent,
                &["42501", "42P01", "23505", "22021", "54000", "55000", "0A000", "XX000", "XX001", "XX002"],
            ),
        ];
        for (kind, codes) in table {
            for code in codes {
                assert_eq!(code_kind(code), kind, "{code}");
            }
        }
        assert_eq!(kind(&sqlx::Error::PoolTimedOut), FaultKind::Unavailable);
        let ended = sqlx::Error::Protocol("unexpected response from SSLRequest: 0x00".into());
        assert_eq!(kind(&ended), FaultKind::Unavailable);
        let cut = sqlx::Error::Protocol("expecting a row".into());
        assert_eq!(kind(&cut), FaultKind::Transient);
        assert_eq!(kind(&sqlx::Error::RowNotFound), FaultKind::Permanent);
    }
}
