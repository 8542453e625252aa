use redis::{ErrorKind, RedisError};

use crate::error::{FaultKind, StoreError};

/// A fault of Redis.
pub(super) fn fault(operation: &'static str, error: RedisError) -> StoreError {
    StoreError::of(kind(&error), operation, error)
}

fn kind(error: &RedisError) -> FaultKind {
    if error.is_connection_refusal() || error.kind() == ErrorKind::AuthenticationFailed {
        return FaultKind::Unavailable;
    }
    let misused = matches!(
        error.kind(),
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported
    );
    match error.code() {
        _ if misused => FaultKind::Permanent,
        Some(code) => code_kind(code, error.detail().unwrap_or_default()),
        None => FaultKind::Transient,
    }
}

/// The first word of an error's answer, and the rest of it.
fn code_kind(code: &str, detail: &str) -> FaultKind {
    match code {
        // Starting, no memory, a disk that is full, a replica, a cluster without an owner for the slot, not let in.
        "LOADING" | "OOM" | "MISCONF" | "READONLY" | "MASTERDOWN" | "NOREPLICAS" | "CLUSTERDOWN"
        | "NOAUTH" | "WRONGPASS" => FaultKind::Unavailable,
        "ERR" if detail.starts_with("max number of clients") => FaultKind::Unavailable,
        "WRONGTYPE" | "NOPERM" | "ERR" => FaultKind::Permanent,
        // BUSY, TRYAGAIN, MOVED, ASK, UNKILLABLE and what there may be besides.
        _ => FaultKind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let full = ["LOADING", "OOM", "MISCONF", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"];
        for code in full.into_iter().chain(["NOAUTH", "WRONGPASS"]) {
            assert_eq!(code_kind(code, ""), FaultKind::Unavailable, "{code}");
        }
        for code in ["BUSY", "TRYAGAIN", "MOVED", "ASK"] {
            assert_eq!(code_kind(code, ""), FaultKind::Transient, "{code}");
        }
        for code in ["WRONGTYPE", "NOPERM", "ERR"] {
            assert_eq!(code_kind(code, ""), FaultKind::Permanent, "{code}");
        }
        assert_eq!(code_kind("ERR", "max number of clients reached"), FaultKind::Unavailable);
    }

    #[test]
    fn a_lost_connection_passes_and_a_wrong_type_stays() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(fault("cache.get", lost).is_transient());
        let wrong = redis::make_extension_error("WRONGTYPE".into(), None);
        assert!(!fault("cache.get", wrong).is_transient());
    }
}
