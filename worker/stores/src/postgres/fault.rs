//! What a failure of the driver means.

use crate::error::StoreError;

/// A failure in `operation`, as a passing fault or one that stays.
pub(super) fn fault(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if passes(&error) {
            StoreError::transient(operation, error)
        } else {
            StoreError::permanent(operation, error)
        }
    }
}

fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code_passes(&code)),
        _ => false,
    }
}

/// Lost connections, rolled back transactions (deadlocks among them), lack of resources, operators who
/// intervene, timeouts, and a standby that is about to take over.
fn code_passes(code: &str) -> bool {
    const CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];
    const CODES: [&str; 4] = ["25006", "25P03", "25P04", "55P03"];
    CODES.contains(&code) || CLASSES.iter().any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for passing in ["40P01", "40001", "53300", "57014", "57P01", "55P03", "08006", "25006"] {
            assert!(code_passes(passing), "{passing}");
        }
        for staying in ["42501", "42P01", "23505", "22021", "54000"] {
            assert!(!code_passes(staying), "{staying}");
        }
        assert!(passes(&sqlx::Error::PoolTimedOut));
        assert!(!passes(&sqlx::Error::RowNotFound));
    }
}
