use redis::{ErrorKind, RedisError};

use crate::error::StoreError;

/// A fault of Redis. What the caller got wrong stays wrong; everything else passes.
pub(super) fn fault(operation: &'static str, error: RedisError) -> StoreError {
    let stays = matches!(
        error.kind(),
        ErrorKind::UnexpectedReturnType
            | ErrorKind::InvalidClientConfig
            | ErrorKind::AuthenticationFailed
            | ErrorKind::RESP3NotSupported
    ) || matches!(error.code(), Some("WRONGTYPE" | "NOPERM" | "NOAUTH" | "WRONGPASS" | "ERR"));
    if stays { StoreError::permanent(operation, error) } else { StoreError::transient(operation, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_passes_and_a_wrong_type_stays() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(fault("cache.get", lost).is_transient());
        let wrong = redis::make_extension_error("WRONGTYPE".into(), None);
        assert!(!fault("cache.get", wrong).is_transient());
    }
}
