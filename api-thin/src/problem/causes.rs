//! Which answer a fault of ours becomes. The cause goes to the log, never to the caller.

use jobs::envelope::StampError;
use jobs::error::report;
use jobs::queue::QueueError;
use jobs::tenant::DirectoryError;
use stores::StoreError;

use super::{Code, Problem};

const RETRY_AFTER_S: u32 = 2;

impl Problem {
    /// A fault on our side that stays.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = report(error), "request failed");
        Self::new(Code::Internal, "the fault was logged; name the X-Request-Id when you report it")
    }

    /// A fault on our side that passes.
    pub(crate) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = report(error), "request failed because a server is away");
        Self::new(Code::Unavailable, "try again in a moment").retry_after_s(RETRY_AFTER_S)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        if let QueueError::LimitReached(limits) = &error
            && let Some(limit) = limits.first()
        {
            return Self::limit_reached(limit);
        }
        if error.is_passing() { Self::unavailable(&error) } else { Self::internal(&error) }
    }
}

impl From<StampError> for Problem {
    fn from(error: StampError) -> Self {
        match error {
            StampError::Forbidden(permission) => Self::forbidden(permission),
            other => Self::internal(&other),
        }
    }
}
