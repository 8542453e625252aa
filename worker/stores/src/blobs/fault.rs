use object_store::Error;

use crate::error::{FaultKind, StoreError};

/// A fault of the object store.
pub(super) fn fault(operation: &'static str, error: Error) -> StoreError {
    StoreError::of(kind(&error), operation, error)
}

fn kind(error: &Error) -> FaultKind {
    match error {
        Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => FaultKind::Permanent,
        Error::JoinError { .. }
        | Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. } => FaultKind::Transient,
        // A bucket that is not there, credentials that were changed or ran out: only the operator can help, and
        // the call is not what has to change.
        Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            FaultKind::Unavailable
        }
        // A local file says in its cause what is wrong. A server that refused after several tries has none: it is
        // full, slow or away.
        other => cause(other).map_or(FaultKind::Unavailable, FaultKind::of_io),
    }
}

fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_kind() {
        let source = || "no".into();
        let path = || "a".to_owned();
        let local = |errno: i32| Error::Generic {
            store: "LocalFileSystem",
            source: std::io::Error::from_raw_os_error(errno).into(),
        };
        let table = [
            // ENOSPC, EDQUOT, EMFILE, EROFS
            (FaultKind::Unavailable, local(28)),
            (FaultKind::Unavailable, local(122)),
            (FaultKind::Unavailable, local(24)),
            (FaultKind::Unavailable, local(30)),
            // ENAMETOOLONG
            (FaultKind::Permanent, local(36)),
            (FaultKind::Unavailable, Error::Generic { store: "S3", source: "507".into() }),
            (FaultKind::Unavailable, Error::PermissionDenied { path: path(), source: source() }),
            (FaultKind::Unavailable, Error::Unauthenticated { path: path(), source: source() }),
            (FaultKind::Unavailable, Error::NotFound { path: path(), source: source() }),
            (FaultKind::Transient, Error::Precondition { path: path(), source: source() }),
            (FaultKind::Permanent, Error::NotSupported { source: source() }),
        ];
        for (expected, error) in table {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
