//! What runs a job.

use jobs::{Job, JobError};

use crate::context::JobContext;

/// The work of a job type. Implemented on the job itself, so a job has one handler or does not register.
///
/// Delivery is at least once: handling a job twice must have the effect of handling it once.
///
/// `Owner` is of no concern to a handler of a job type of its own crate. A crate with handlers for another crate's job
/// types names a type of its own there, because Rust asks for one in such an implementation.
pub trait Handler<Owner = ()>: Job {
    /// Does the work. Everything it may touch hangs on `cx`.
    ///
    /// # Errors
    /// [`JobError`] says what happens next: try again, or give up.
    fn handle(&self, cx: &JobContext) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Tidies up after the job was given up for good: `code` and `reason` say why. Best effort: it runs once,
    /// before the job is discarded, for no longer than an attempt may take, and a failure is only logged. Only while
    /// a store that it needs is away ([`JobError::Unavailable`]) the job waits and runs once more.
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

    /// Tells whoever waits for the result that there will be none: whoever asked for the job may not do it any more,
    /// so it is discarded without having run. What jobs that did run have made is not its to change. Best effort, as
    /// [`Handler::discarded`]; `cx` has no permission, so nothing can be enqueued.
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

/// What starting a job again means that was given up: a dead letter, or one in quarantine. A type that is registered
/// with [`crate::Registry::with_reopen`] prepares its run here; other types just run again.
pub trait Reopen<Owner = ()>: Handler<Owner> {
    /// Prepares what the job is about for its run. Called before each attempt of a job that was started again.
    ///
    /// # Errors
    /// As for [`Handler::handle`].
    fn reopen(&self, cx: &JobContext) -> impl Future<Output = Result<Reopened, JobError>> + Send;
}

/// Whether a job that was started again still has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reopened {
    /// It runs.
    Run,
    /// It completes without having run: why.
    Nothing(&'static str),
}
