//! One attempt: bounded by the type's timeout and by the cancel token, and a panic is a failure like any
//! other.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use jobs::JobError;
use tower::ServiceExt as _;

use super::request::JobRequest;
use super::stack::JobService;
use crate::handler::Reopened;

/// How long layers may take to write down that the handler was cancelled or timed out.
const GRACE: Duration = Duration::from_millis(200);

/// The middle of the stack: the handler. Whatever happens to it reaches the layers as a [`JobError`].
pub(super) async fn handle(request: JobRequest) -> Result<(), JobError> {
    let context = request.context();
    let work = AssertUnwindSafe(run(&request)).catch_unwind();
    tokio::select! {
        // A job whose lease is gone must not be reported as done by a handler that finished in the same
        // instant.
        biased;
        () = context.cancelled().cancelled() => Err(JobError::Interrupted),
        result = tokio::time::timeout_at(request.deadline(), work) => match result {
            Err(_) => Err(timed_out(&request)),
            Ok(Err(panic)) => Err(panicked("handler", &*panic)),
            Ok(Ok(result)) => result,
        },
    }
}

async fn run(request: &JobRequest) -> Result<(), JobError> {
    let (entry, envelope, context) = (request.entry(), request.envelope(), request.context());
    if request.was_redriven()
        && let Reopened::Nothing(why) = (entry.reopen)(envelope, context).await?
    {
        tracing::info!("nothing to do: {why}");
        context.had_nothing_to_do(why);
        return Ok(());
    }
    (entry.handle)(envelope, context).await
}

/// The whole attempt. A layer that hangs, panics or keeps a cancellation to itself changes nothing.
pub(crate) async fn bounded(service: JobService, request: JobRequest) -> Result<(), JobError> {
    let cancel = request.context().cancelled().clone();
    let (deadline, late) = (request.deadline() + GRACE, timed_out(&request));
    let cancelled = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let work = AssertUnwindSafe(service.oneshot(request)).catch_unwind();
    let result = tokio::select! {
        biased;
        result = tokio::time::timeout_at(deadline, work) => match result {
            Err(_) => Err(late),
            Ok(Err(panic)) => Err(panicked("layer", &*panic)),
            Ok(Ok(result)) => result,
        },
        () = cancelled => Err(JobError::Interrupted),
    };
    if cancel.is_cancelled() { Err(JobError::Interrupted) } else { result }
}

fn timed_out(request: &JobRequest) -> JobError {
    JobError::retry(format!("no result after {:?}", request.policy().timeout))
}

fn panicked(who: &str, panic: &(dyn Any + Send)) -> JobError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    JobError::retry(format!("the {who} panicked: {text}"))
}
