//! What a failure of the driver means.

use neo4rs::{Error, Neo4jErrorKind};

use crate::error::StoreError;

/// What Neo4j answered, without its message, which quotes the data.
#[derive(Debug, thiserror::Error)]
#[error("Neo4j answered {code}")]
pub(super) struct Refused {
    code: String,
}

/// A failure in `operation`, as a passing fault or one that stays.
pub(super) fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| match error {
        Error::Neo4j(refusal) => {
            let passes = refusal.kind() == Neo4jErrorKind::Transient || code_passes(refusal.code());
            refused(operation, refusal.code(), passes)
        }
        // The driver wraps a refusal of BEGIN, PULL and COMMIT into a text.
        Error::UnexpectedMessage(text) => match code_in(&text) {
            Some(code) => refused(operation, code, code_passes(code)),
            None => refused(operation, "something out of turn", true),
        },
        Error::IOError { .. } | Error::ConnectionError => StoreError::transient(operation, error),
        Error::AuthenticationError(_) => refused(operation, "that the user or the password is wrong", false),
        other => StoreError::permanent(operation, other),
    }
}

fn refused(operation: &'static str, code: &str, passes: bool) -> StoreError {
    let refused = Refused { code: code.to_owned() };
    if passes { StoreError::transient(operation, refused) } else { StoreError::permanent(operation, refused) }
}

fn code_passes(code: &str) -> bool {
    const PASSING: [&str; 5] = [
        "Neo.ClientError.Cluster.NotALeader",
        "Neo.ClientError.Transaction.Terminated",
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Security.AuthorizationExpired",
        "Neo.DatabaseError.General.DatabaseUnavailable",
    ];
    code.starts_with("Neo.TransientError.") || PASSING.contains(&code)
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
