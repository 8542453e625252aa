//! Errors of stores, and whether a retry may help.

use std::io;

use jobs::JobError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store serves no caller now: it is away, its disk is full or read-only, or it refuses connections. The
    /// same call succeeds once that is over.
    #[error("{operation}: the store is not available")]
    Unavailable {
        /// The operation, such as `catalog.accept`.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// A passing error, such as a lost connection or a deadlock. A retry may help; the call may also be too much
    /// for the store.
    #[error("{operation}: the store did not finish the call")]
    Transient {
        /// The operation.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// An error that stays: a bug, a missing table, unreadable data.
    #[error("{operation}: the store refused")]
    Permanent {
        /// The operation.
        operation: &'static str,
        /// The driver's error.
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

/// What a driver's error says about a retry. Each store has a table from its error codes to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// [`StoreError::Unavailable`]
    Unavailable,
    /// [`StoreError::Transient`]
    Transient,
    /// [`StoreError::Permanent`]
    Permanent,
}

impl FaultKind {
    /// Classifies an error of the operating system, by `errno`.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            // The disk or a quota is full, the file system is read-only or not mounted, the machine is out of
            // memory, nothing listens at the address.
            K::StorageFull
            | K::QuotaExceeded
            | K::ReadOnlyFilesystem
            | K::PermissionDenied
            | K::NotFound
            | K::ResourceBusy
            | K::OutOfMemory
            | K::StaleNetworkFileHandle
            | K::ConnectionRefused
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NetworkDown
            | K::AddrNotAvailable
            | K::TimedOut => Self::Unavailable,
            K::NotADirectory
            | K::IsADirectory
            | K::DirectoryNotEmpty
            | K::InvalidFilename
            | K::FileTooLarge
            | K::InvalidInput
            | K::InvalidData
            | K::Unsupported => Self::Permanent,
            // Errors without a kind in the standard library.
            _ => match error.raw_os_error() {
                Some(EIO | ENXIO | ENODEV | ENFILE | EMFILE) => Self::Unavailable,
                _ => Self::Transient,
            },
        }
    }
}

const EIO: i32 = 5;
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

impl StoreError {
    /// The error of `operation`, of the kind that the store's table gives.
    pub(crate) fn of(kind: FaultKind, operation: &'static str, source: impl Into<Source>) -> Self {
        let source = source.into();
        match kind {
            FaultKind::Unavailable => Self::Unavailable { operation, source },
            FaultKind::Transient => Self::Transient { operation, source },
            FaultKind::Permanent => Self::Permanent { operation, source },
        }
    }

    /// An error that a retry may pass.
    pub fn transient(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Transient { operation, source: source.into() }
    }

    /// An error that stays.
    pub fn permanent(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Permanent { operation, source: source.into() }
    }

    /// Whether trying again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Transient { .. })
    }
}

/// Lets a handler use `?` on a store call: the job waits for a store that is not available, is retried after a
/// passing error, and fails on any other.
impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::unavailable(error),
            StoreError::Transient { .. } => Self::retry(error),
            StoreError::Permanent { operation, .. } => {
                Self::fail("store_refused", format!("{operation}: {}", jobs::error::report(&error)))
            }
            StoreError::Conflict { .. } => Self::fail("store_conflict", error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_errno_says_about_the_next_try() {
        const ENOENT: i32 = 2;
        const EACCES: i32 = 13;
        const ENOTDIR: i32 = 20;
        const ENOSPC: i32 = 28;
        const EROFS: i32 = 30;
        const EPIPE: i32 = 32;
        const ENAMETOOLONG: i32 = 36;
        const ECONNRESET: i32 = 104;
        const ECONNREFUSED: i32 = 111;
        const EDQUOT: i32 = 122;
        let away = [ENOSPC, EDQUOT, EROFS, EACCES, ENOENT, EIO, ENXIO, ENODEV, ENFILE, EMFILE, ECONNREFUSED];
        let table = [
            (FaultKind::Unavailable, away.as_slice()),
            (FaultKind::Transient, &[EPIPE, ECONNRESET]),
            (FaultKind::Permanent, &[ENOTDIR, ENAMETOOLONG]),
        ];
        for (kind, numbers) in table {
            for number in numbers {
                let error = io::Error::from_raw_os_error(*number);
                assert_eq!(FaultKind::of_io(&error), kind, "{error}");
            }
        }
    }

    #[test]
    fn a_job_waits_for_a_store_that_is_away_and_ends_with_one_that_refuses() {
        let job = |kind| JobError::from(StoreError::of(kind, "test.call", "it said no"));
        assert!(matches!(job(FaultKind::Unavailable), JobError::Unavailable(_)));
        assert!(matches!(job(FaultKind::Transient), JobError::Retry(_)));
        assert!(matches!(job(FaultKind::Permanent), JobError::Fail { code: "store_refused", .. }));
    }
}
