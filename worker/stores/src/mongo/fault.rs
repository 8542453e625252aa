//! What a failure of the driver means.

use mongodb::error::{Error, ErrorKind};

use crate::error::{FaultKind, StoreError};

/// Two tried to make the same document, index or collection at the same time: for the second one it is there
/// now.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;

/// A failure in `operation`.
pub(super) fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| StoreError::of(kind(&error), operation, error)
}

fn kind(error: &Error) -> FaultKind {
    let by_kind = match &*error.kind {
        ErrorKind::Io(error) => FaultKind::of_io(error),
        ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. } => FaultKind::Unavailable,
        _ => error_code(error).map_or(FaultKind::Permanent, code_kind),
    };
    let labelled = ["RetryableWriteError", "TransientTransactionError", "RetryableError"];
    match by_kind {
        FaultKind::Permanent if labelled.iter().any(|label| error.contains_label(label)) => {
            FaultKind::Transient
        }
        kind => kind,
    }
}

/// The server's codes.
pub(super) fn code_kind(code: i32) -> FaultKind {
    match code {
        // No server answers there, no primary, starting, stopping, stepping down, not let in, no majority, no room
        // on the disk, more than the plan of a hosted cluster has room for.
        6 | 7 | 13 | 18 | 89 | 91 | 100 | 133 | 134 | 189 | 8_000 | 9_001 | 10_107 | 11_600 | 11_602
        | 13_435 | 13_436 | 14_031 => FaultKind::Unavailable,
        // Lost races and elections, timeouts, cursors and sessions that ended; 1 is what `FerretDB` says of
        // everything that its own database refused.
        1 | 24 | 43 | 50 | 64 | 112 | 117 | 146 | 225 | 251 | 262 | 290 | DUPLICATE_KEY => {
            FaultKind::Transient
        }
        _ => FaultKind::Permanent,
    }
}

/// Whether the thing that was to be made is there already.
pub(super) fn exists_already(error: &Error) -> bool {
    matches!(error_code(error), Some(NAMESPACE_EXISTS | DUPLICATE_KEY))
}

fn error_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(error)) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let away = [
            6, 7, 13, 18, 89, 91, 100, 133, 134, 189, 8_000, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436,
            14_031,
        ];
        let table = [
            (FaultKind::Unavailable, away.as_slice()),
            (FaultKind::Transient, &[1, 24, 43, 50, 64, 112, 117, 146, 225, 251, 262, 290, DUPLICATE_KEY]),
            (FaultKind::Permanent, &[2, 9, 14, 20, 26, 59, 121, 10_334, 40_324]),
        ];
        for (kind, codes) in table {
            for code in codes {
                assert_eq!(code_kind(*code), kind, "{code}");
            }
        }
        assert_eq!(kind(&Error::custom("anything else")), FaultKind::Permanent);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(kind(&Error::from(reset)), FaultKind::Transient);
    }
}
