//! The traits that an embedding program implements to run a job type.

use jobs::{Job, JobError};

use crate::context::JobContext;

/// Runs a job type. Implemented on the job itself, so that each type has exactly one handler.
///
/// Delivery is at least once: handling a job twice must have the effect of handling it once.
///
/// Leave `Owner` out for job types of your own crate. A crate with handlers for job types of another crate names a
/// local type here, because Rust's orphan rule asks for one in such an implementation.
pub trait Handler<Owner = ()>: Job {
    /// Does the work. `cx` gives access to the tenant's stores and to the worker's shared values.
    ///
    /// # Errors
    /// [`JobError`] decides what happens next: retry, wait for a store, or discard.
    fn handle(&self, cx: &JobContext) -> impl Future<Output = Result<(), JobError>> + Send;

    /// On-discard hook: cleans up after the job was discarded; `code` and `reason` say why. Best effort: it runs
    /// once, before the job is discarded, for no longer than an attempt may take, and a failure is only logged.
    /// Only while a store that it needs is away ([`JobError::Unavailable`]) the job waits and the hook runs once
    /// more.
    ///
    /// # Errors
    /// As for [`Handler::handle`].
    fn discarded(
        &self,
        cx: &JobContext,
        code: &str,
        reason: &str,
    ) -> impl Future<Output = Result<(), JobError>> + Send {
        let _ = (cx, code, reason);
        async { Ok(()) }
    }

    /// Hook for a job that is discarded without having run, because its actor lost the permission: records, for
    /// example on a document, that there will be no result. It must not change what earlier runs have made. Best
    /// effort, as [`Handler::discarded`]; `cx` has no permission, so nothing can be enqueued.
    ///
    /// # Errors
    /// As for [`Handler::handle`].
    fn refused(
        &self,
        cx: &JobContext,
        code: &str,
        reason: &str,
    ) -> impl Future<Output = Result<(), JobError>> + Send {
        let _ = (cx, code, reason);
        async { Ok(()) }
    }
}

/// Prepares the rerun of a job that was discarded (a dead letter) or quarantined. Used by types that are registered
/// with [`crate::Registry::with_reopen`]; other types just run again.
pub trait Reopen<Owner = ()>: Handler<Owner> {
    /// Prepares the job's data for its run. Called before each attempt of a job that was started again.
    ///
    /// # Errors
    /// As for [`Handler::handle`].
    fn reopen(&self, cx: &JobContext) -> impl Future<Output = Result<Reopened, JobError>> + Send;
}

/// Whether a job that was started again still has work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// The handler runs.
    Run,
    /// The job completes without a run, with this reason in its record.
    Nothing(&'static str),
}
