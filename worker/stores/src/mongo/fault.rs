//! What a failure of the driver means.

use mongodb::error::{Error, ErrorKind};

use crate::error::StoreError;

/// Two tried to make the same document, index or collection at the same time: for the second one it is there
/// now.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;

/// A failure in `operation`, as a passing fault or one that stays.
pub(super) fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        if passes(&error) {
            StoreError::transient(operation, error)
        } else {
            StoreError::permanent(operation, error)
        }
    }
}

fn passes(error: &Error) -> bool {
    let labelled = ["RetryableWriteError", "TransientTransactionError", "RetryableError"];
    labelled.iter().any(|label| error.contains_label(label))
        || matches!(
            *error.kind,
            ErrorKind::Io(_)
                | ErrorKind::ServerSelection { .. }
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::DnsResolve { .. }
        )
        || error_code(error).is_some_and(code_passes)
}

/// Elections, shutdowns, timeouts, lost races; 1 is what `FerretDB` says of everything that its own database
/// refused.
pub(super) fn code_passes(code: i32) -> bool {
    const PASSING: [i32; 17] = [
        1,
        6,
        7,
        24,
        50,
        89,
        91,
        112,
        189,
        262,
        9_001,
        10_107,
        11_600,
        11_602,
        13_435,
        13_436,
        DUPLICATE_KEY,
    ];
    PASSING.contains(&code)
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
    fn a_lost_race_passes_and_a_bad_query_stays() {
        assert!(code_passes(DUPLICATE_KEY));
        assert!(!code_passes(2));
        assert!(!passes(&Error::custom("anything else")));
    }
}
