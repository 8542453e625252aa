//! The queue as apalis sees it.

use std::convert::Infallible;
use std::future::{Future as _, Ready, ready};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::BoxDynError;
use apalis_core::task::{ExecutionContext, Task};
use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::ext::ack::{Acknowledge, AcknowledgeLayer};

#[cfg(feature = "test-support")]
use {
    apalis_core::worker::builder::WorkerBuilder,
    futures::future::{BoxFuture, FutureExt as _},
    std::panic::AssertUnwindSafe,
};

use crate::finish::{Finish, Verdict};
use crate::job::{RetryPolicy, RetryRule};
use crate::worker::claims::{Ticket, TicketGuard};
use crate::worker::worker_queue::{FetchedJob, Shared, WorkerOptions};

/// Jobs that start in a row.
const BURST: usize = 16;

/// Hands claimed jobs to an apalis worker, whose service must return a [`crate::Finish`]. `J` converts the claimed job
/// into the service's argument; the conversion must not fail, because an error here would end the worker.
#[derive(Debug, Clone)]
pub struct JobBackend<J = FetchedJob> {
    shared: Arc<Shared>,
    /// Jobs handed out since the last pause.
    in_a_row: usize,
    args: PhantomData<fn() -> J>,
}

impl<J> JobBackend<J> {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, in_a_row: 0, args: PhantomData }
    }

    /// Whether it is time to let the tasks run that talk to Redis. Without that, a full buffer of short jobs would
    /// keep their thread busy while Redis waits.
    fn pauses(&mut self, cx: &mut Context<'_>) -> bool {
        if self.in_a_row < BURST {
            return false;
        }
        self.in_a_row = 0;
        pin!(tokio::task::yield_now()).poll(cx).is_pending()
    }
}

/// Never fails: an error here would end the worker and drop the handlers that run.
impl<J: From<FetchedJob>> Backend for JobBackend<J> {
    type Task = Task<J>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<J>, Infallible>>> {
        if self.pauses(cx) {
            return Poll::Pending;
        }
        let next = self.shared.buffer.poll(cx.waker());
        self.in_a_row = if next.is_ready() { self.in_a_row + 1 } else { 0 };
        if matches!(next, Poll::Ready(None)) {
            // apalis finishes what runs when the source ends, but returns only from a worker that was
            // stopped.
            worker.stop().ok();
        }
        next.map(|task| {
            task.map(|task| {
                if let Some(guard) = task.ctx().data().get::<Arc<TicketGuard>>() {
                    guard.ticket.start();
                }
                Ok(task.map_args(J::from))
            })
        })
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl<J: From<FetchedJob>> BackendConfig for JobBackend<J> {
    type Args = J;
    type Id = ();
    type Kind = Ephemeral;
    type Config = WorkerOptions;
    type Layer = AcknowledgeLayer<Acker>;

    fn config(&self) -> &WorkerOptions {
        &self.shared.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        AcknowledgeLayer::new(Acker { retry: self.shared.options.retry.clone() })
    }
}

/// Passes each result to the finisher. It never fails: an error would be taken for the handler's.
#[derive(Debug, Clone)]
pub struct Acker {
    retry: RetryRule,
}

impl Acknowledge<Finish> for Acker {
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn ack(&mut self, result: &Result<Finish, BoxDynError>, context: &ExecutionContext) -> Self::Future {
        let Some(guard) = context.data().get::<Arc<TicketGuard>>() else {
            tracing::error!("a task did not come from the queue, its result is ignored");
            return ready(Ok(()));
        };
        guard.finish(match result {
            Ok(finish) => finish.clone(),
            Err(error) => Finish::of(failed(&guard.ticket, &self.retry, error.as_ref())),
        });
        ready(Ok(()))
    }
}

/// The service around the handler failed, or the handler panicked: an attempt is spent.
fn failed(
    ticket: &Ticket,
    retry: &RetryRule,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> Verdict {
    let payload = ticket.payload.as_deref();
    let policy = payload.map_or_else(RetryPolicy::default, |payload| retry.policy(payload));
    let failures = ticket.attempts.saturating_add(1);
    let text = crate::describe::report(error);
    tracing::error!(
        tenant.id = %ticket.partition,
        job.id = %ticket.id,
        error = text,
        failures,
        "handler broke down"
    );
    if failures >= policy.max_attempts {
        return Verdict::Discarded { code: "handler_broke_down", reason: text };
    }
    Verdict::Retry { after: policy.wait(failures, rand::random()), error: text }
}

/// Runs `handler` on every job until the backend's [`crate::WorkerQueue`] stops. A panic of the
/// handler becomes an error, as it does in the real worker.
///
/// # Errors
/// When apalis gives up, which it should never have a reason for.
#[cfg(feature = "test-support")]
pub fn run_for_tests<J, H, F>(
    backend: JobBackend<J>,
    handler: H,
) -> BoxFuture<'static, Result<(), BoxDynError>>
where
    J: From<FetchedJob> + Send + Sync + 'static,
    H: Fn(J) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Finish, BoxDynError>> + Send + 'static,
{
    let caught = move |job: J| {
        let attempt = AssertUnwindSafe(handler(job)).catch_unwind().boxed();
        async move { attempt.await.unwrap_or_else(|_| Err("the handler panicked".into())) }
    };
    let worker = WorkerBuilder::new("test").backend(backend).build(caught);
    worker.run().map(|end| end.map_err(|error| Box::new(error) as BoxDynError)).boxed()
}
