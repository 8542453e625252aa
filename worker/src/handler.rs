//! What runs a job.

use jobs::{Job, JobError};

use crate::context::JobContext;

/// The work of a job type. Implemented on the job itself, so a job has one handler or does not register.
///
/// Delivery is at least once: handling a job twice must have the effect of handling it once.
pub trait Handler: Job {
    /// Does the work. Everything it may touch hangs on `cx`.
    ///
    /// # Errors
    /// [`JobError`] says what happens next: try again, or give up.
    fn handle(&self, cx: &JobContext) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Tidies up after the job was given up for good: `code` and `reason` say why. Best effort: it runs once,
    /// before the job is discarded, for no longer than an attempt may take, and a failure is only logged.
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
