use object_store::Error;

use crate::error::StoreError;

/// A fault of the object store. What it refuses for good stays refused; everything else passes.
pub(super) fn fault(operation: &'static str, error: Error) -> StoreError {
    match error {
        Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::UnknownConfigurationKey { .. } => StoreError::permanent(operation, error),
        _ => StoreError::transient(operation, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_stays_and_a_server_error_passes() {
        let refused = Error::Unauthenticated { path: "a".into(), source: "403".into() };
        assert!(!fault("blobs.original", refused).is_transient());
        let down = Error::Generic { store: "S3", source: "503".into() };
        assert!(fault("blobs.original", down).is_transient());
    }
}
