//! The queue as apalis sees it.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::ext::ack::AcknowledgeLayer;

use super::acker::Acker;
use super::job::FetchedJob;
use super::shared::Shared;
use super::ticket::TicketGuard;
use super::worker_queue::WorkerOptions;

/// Jobs that start in a row.
const BURST: usize = 16;

/// Hands claimed jobs to an apalis worker, whose service must answer with a [`crate::queue::Finish`].
#[derive(Debug, Clone)]
pub struct JobBackend {
    shared: Arc<Shared>,
    /// Jobs handed out since the last pause.
    in_a_row: usize,
}

impl JobBackend {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, in_a_row: 0 }
    }

    /// Whether it is time to let the tasks run that talk to Redis. Without that, a full buffer of short jobs would keep
    /// their thread busy while Redis waits.
    fn pauses(&mut self, cx: &mut Context<'_>) -> bool {
        if self.in_a_row < BURST {
            return false;
        }
        self.in_a_row = 0;
        pin!(tokio::task::yield_now()).poll(cx).is_pending()
    }
}

/// Never fails: an error here would end the worker and drop the handlers that run.
impl Backend for JobBackend {
    type Task = Task<FetchedJob>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<FetchedJob>, Infallible>>> {
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
                Ok(task)
            })
        })
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for JobBackend {
    type Args = FetchedJob;
    type Id = ();
    type Kind = Ephemeral;
    type Config = WorkerOptions;
    type Layer = AcknowledgeLayer<Acker>;

    fn config(&self) -> &WorkerOptions {
        &self.shared.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        AcknowledgeLayer::new(Acker)
    }
}
