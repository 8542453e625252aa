//! What can go wrong in a store, and whether trying again may help.

use jobs::JobError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A passing fault: the server is away, busy or slow.
    #[error("{operation}: the store is not available")]
    Transient {
        /// The operation, such as `catalog.accept`.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// A fault that stays: a bug, a missing table, data that cannot be read.
    #[error("{operation}: the store refused")]
    Permanent {
        /// The operation.
        operation: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// The call contradicts itself or what is stored, such as a job that was stamped for another tenant.
    #[error("{operation}: {what}")]
    Conflict {
        /// The operation.
        operation: &'static str,
        /// The contradiction.
        what: &'static str,
    },
}

impl StoreError {
    /// A passing fault.
    pub fn transient(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Transient { operation, source: source.into() }
    }

    /// A fault that stays.
    pub fn permanent(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Permanent { operation, source: source.into() }
    }

    /// Whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// A handler's `?` on a store call: a passing fault is retried, any other ends the job.
impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Transient { .. } => Self::retry(error),
            StoreError::Permanent { operation, .. } => {
                Self::fail("store_refused", format!("{operation}: {}", jobs::error::report(&error)))
            }
            StoreError::Conflict { .. } => Self::fail("store_conflict", error.to_string()),
        }
    }
}
