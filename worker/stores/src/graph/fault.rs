//! What a failure of the driver means.

use neo4rs::Error;

use crate::error::{FaultKind, StoreError};

/// What Neo4j answered, without its message, which quotes the data.
#[derive(Debug, thiserror::Error)]
#[error("Neo4j answered {code}")]
pub(super) struct Refused {
    code: String,
}

impl Refused {
    fn new(code: &str) -> Self {
        Self { code: code.to_owned() }
    }
}

/// A failure in `operation`.
pub(super) fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match error {
        Error::Neo4j(refusal) => refused(operation, refusal.code()),
        // The driver wraps a refusal of BEGIN, PULL and COMMIT into a text.
        Error::UnexpectedMessage(text) => match code_in(&text) {
            Some(code) => refused(operation, code),
            None => StoreError::of(FaultKind::Transient, operation, Refused::new("something out of turn")),
        },
        Error::IOError { ref detail } => StoreError::of(FaultKind::of_io(detail), operation, error),
        Error::ConnectionError => StoreError::of(FaultKind::Unavailable, operation, error),
        Error::AuthenticationError(_) => StoreError::of(
            FaultKind::Unavailable,
            operation,
            Refused::new("that the user or the password is wrong"),
        ),
        other => StoreError::permanent(operation, other),
    }
}

fn refused(operation: &'static str, code: &str) -> StoreError {
    StoreError::of(code_kind(code), operation, Refused::new(code))
}

/// `Neo.Classification.Category.Title`: single codes first, then classifications.
fn code_kind(code: &str) -> FaultKind {
    const UNAVAILABLE: [&str; 17] = [
        // Not the leader, read-only (a full disk makes it so), not there yet.
        "Neo.ClientError.Cluster.NotALeader",
        "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
        "Neo.ClientError.General.WriteOnReadOnlyAccessDatabase",
        "Neo.ClientError.Database.DatabaseNotFound",
        "Neo.DatabaseError.Database.UnableToStartDatabase",
        "Neo.DatabaseError.General.DatabaseUnavailable",
        "Neo.TransientError.General.DatabaseUnavailable",
        "Neo.TransientError.Database.DatabaseUnavailable",
        "Neo.TransientError.Request.NoThreadsAvailable",
        // Nothing can be written down.
        "Neo.DatabaseError.Transaction.TransactionStartFailed",
        "Neo.DatabaseError.Transaction.TransactionCommitFailed",
        "Neo.DatabaseError.Transaction.TransactionLogError",
        // Not let in.
        "Neo.ClientError.Security.Unauthorized",
        "Neo.ClientError.Security.AuthenticationRateLimit",
        "Neo.ClientError.Security.AuthorizationExpired",
        "Neo.ClientError.Security.CredentialsExpired",
        "Neo.ClientError.Security.TokenExpired",
    ];
    const TRANSIENT: [&str; 5] = [
        "Neo.ClientError.Transaction.Terminated",
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
        "Neo.ClientError.Transaction.LockClientStopped",
        "Neo.ClientError.Transaction.TransactionNotFound",
    ];
    // The store is damaged: no other try can help.
    const DAMAGED: [&str; 3] = [
        "Neo.DatabaseError.General.StorageDamageDetected",
        "Neo.DatabaseError.General.IndexCorruptionDetected",
        "Neo.DatabaseError.Schema.SchemaRuleDuplicateFound",
    ];
    if UNAVAILABLE.contains(&code) {
        FaultKind::Unavailable
    } else if DAMAGED.contains(&code) {
        FaultKind::Permanent
    } else if TRANSIENT.contains(&code)
        || code.starts_with("Neo.TransientError.")
        || code.starts_with("Neo.DatabaseError.")
    {
        FaultKind::Transient
    } else {
        FaultKind::Permanent
    }
}

/// The first `Neo.Class.Category.Title` in a text.
fn code_in(text: &str) -> Option<&str> {
    let code = &text[text.find("Neo.")?..];
    let end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(code.len());
    Some(code[..end].trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_of_codes_has_its_kind() {
        let table = [
            (
                FaultKind::Unavailable,
                &[
                    "Neo.ClientError.Cluster.NotALeader",
                    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
                    "Neo.ClientError.Security.Unauthorized",
                    "Neo.DatabaseError.Transaction.TransactionCommitFailed",
                    "Neo.TransientError.General.DatabaseUnavailable",
                ][..],
            ),
            (
                FaultKind::Transient,
                &[
                    "Neo.TransientError.Transaction.DeadlockDetected",
                    "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
                    "Neo.ClientError.Transaction.Terminated",
                    "Neo.DatabaseError.Statement.ExecutionFailed",
                    "Neo.DatabaseError.General.UnknownError",
                ],
            ),
            (
                FaultKind::Permanent,
                &[
                    "Neo.ClientError.Statement.SyntaxError",
                    "Neo.ClientError.Schema.ConstraintValidationFailed",
                    "Neo.ClientError.Security.Forbidden",
                    "Neo.DatabaseError.General.StorageDamageDetected",
                    "Anything.Else",
                ],
            ),
        ];
        for (kind, codes) in table {
            for code in codes {
                assert_eq!(code_kind(code), kind, "{code}");
            }
        }
    }

    #[test]
    fn a_deadlock_passes_and_a_syntax_error_stays() {
        let deadlock = r#"unexpected response for PULL: Ok(Failure({"code": "Neo.TransientError.Transaction.DeadlockDetected"}))"#;
        let syntax = r#"unexpected response for COMMIT: "Neo.ClientError.Statement.SyntaxError: near 'x'""#;
        assert!(fault("test")(Error::UnexpectedMessage(deadlock.into())).is_transient());
        let syntax = fault("test")(Error::UnexpectedMessage(syntax.into()));
        assert!(!syntax.is_transient());
        let text = jobs::error::report(&syntax);
        assert!(text.ends_with("Neo.ClientError.Statement.SyntaxError"), "{text}");
    }
}
