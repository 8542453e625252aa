//! Ends each task in the queue as its handler ended: the outermost layer of a worker on a storage.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError, DeferredError, RetryAfterError};
use apalis_core::layers::{Layer, Service};
use apalis_core::task::{ExecutionContext, Task};
use futures::future::{BoxFuture, FutureExt as _};

use crate::describe::report;
use crate::finish::Verdict;
use crate::job::RetryPolicy;
use crate::worker::claims::TicketGuard;
use crate::worker::worker_queue::FetchedJob;

/// How long a handler may take to end by itself after its token has fired.
const GRACE: Duration = Duration::from_secs(5);

/// The layer that [`Storage`](crate::storage::Storage) puts around a worker's own layers. A handler that panics has
/// failed like any other: neither its worker ends nor the tasks beside it. A handler that does not end within 5 s after
/// its task was cancelled or its claim lost is dropped.
#[derive(Debug, Clone)]
pub struct SettleLayer {
    retry: RetryPolicy,
}

impl SettleLayer {
    pub(super) const fn new(retry: RetryPolicy) -> Self {
        Self { retry }
    }
}

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Settle<S> {
        Settle { inner, retry: self.retry }
    }
}

/// The service of a [`SettleLayer`].
#[derive(Debug, Clone)]
pub struct Settle<S> {
    inner: S,
    retry: RetryPolicy,
}

impl<S, Args> Service<Task<Args>> for Settle<S>
where
    S: Service<Task<Args>>,
    S::Response: Send,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<S::Response, BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Args>) -> Self::Future {
        let claimed = Claimed::of(task.ctx(), self.retry);
        // A service may panic before there is a future.
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(task)));
        async move {
            let Some(claimed) = claimed else {
                return Err("the task did not come from the queue".into());
            };
            let attempt = async {
                let ended = match called {
                    Ok(attempt) => AssertUnwindSafe(attempt).catch_unwind().await,
                    Err(panic) => Err(panic),
                };
                match ended {
                    Ok(result) => result.map_err(Into::into),
                    Err(panic) => Err(panicked(panic.as_ref()).into()),
                }
            };
            let result = tokio::select! {
                biased;
                result = attempt => result,
                () = claimed.overdue() => Err(claimed.dropped().into()),
            };
            claimed.settle(result)
        }
        .boxed()
    }
}

/// The error of a handler that panicked.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(|| "the handler panicked".to_owned(), |text| format!("the handler panicked: {text}"))
}

/// A task that is being run, and the right to end it.
struct Claimed {
    guard: Arc<TicketGuard>,
    job: FetchedJob,
    retry: RetryPolicy,
}

impl Claimed {
    fn of(context: &ExecutionContext, retry: RetryPolicy) -> Option<Self> {
        let guard = context.data().get::<Arc<TicketGuard>>()?;
        let job = context.data().get::<FetchedJob>()?;
        let own = context.max_attempts().map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        let max_attempts = own.unwrap_or(retry.max_attempts);
        Some(Self {
            guard: Arc::clone(guard),
            job: job.clone(),
            retry: RetryPolicy { max_attempts, ..retry },
        })
    }

    /// Waits until the handler should have ended, if it ever must.
    async fn overdue(&self) {
        self.job.cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    fn dropped(&self) -> &'static str {
        if self.job.was_cancelled() { "the task was cancelled" } else { "the claim of the task was lost" }
    }

    /// Ends the task. The worker learns how, too, for its listeners.
    fn settle<T>(&self, result: Result<T, BoxDynError>) -> Result<T, BoxDynError> {
        self.guard.finish(match &result {
            Ok(_) => Verdict::Completed.into(),
            Err(error) => self.failed(error.as_ref()).into(),
        });
        result
    }

    fn failed(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Verdict {
        let text = report(error);
        let failures = self.job.attempts.saturating_add(1);
        if self.job.cancel.is_cancelled() {
            // It did not fail, it was stopped. What was cancelled does not come back even so.
            return Verdict::Released;
        }
        if error.is::<AbortError>() {
            return Verdict::Discarded { code: "aborted", reason: text };
        }
        if failures >= self.retry.max_attempts {
            let reason = format!("attempt {failures} of {} failed: {text}", self.retry.max_attempts);
            return Verdict::Discarded { code: "attempts_exhausted", reason };
        }
        let after = match error.downcast_ref::<RetryAfterError>() {
            Some(error) => error.get_duration(),
            None if error.is::<DeferredError>() => Duration::ZERO,
            None => self.retry.wait(failures, rand::random()),
        };
        Verdict::Retry { after, error: text }
    }
}
