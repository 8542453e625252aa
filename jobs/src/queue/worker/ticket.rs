//! The right to end one claimed job, once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::queue::finish::{Finish, Verdict};
use crate::queue::finishing::FinishedJob;

/// One claimed job and the slot it takes up.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) tenant: String,
    pub(super) id: String,
    pub(super) fence: u64,
    pub(super) attempts: u32,
    pub(super) wire: Option<Arc<str>>,
    pub(super) cancel: CancellationToken,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    settled: AtomicBool,
}

/// A finish on its way to Redis.
#[derive(Debug)]
pub(super) struct FinishRequest {
    pub(super) ticket: Arc<Ticket>,
    pub(super) job: FinishedJob,
    pub(super) applied: Option<oneshot::Sender<()>>,
}

impl Ticket {
    pub(super) fn new(
        (tenant, id, fence): (String, String, u64),
        attempts: u32,
        wire: Option<Arc<str>>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        let (cancel, settled) = (CancellationToken::new(), AtomicBool::new(false));
        Self { tenant, id, fence, attempts, wire, cancel, slot: Mutex::new(Some(slot)), settled }
    }

    /// Takes the right to end the job; only the first caller gets it.
    pub(super) fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::AcqRel)
    }

    pub(super) fn free_slot(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn request(
        self: &Arc<Self>,
        finish: Finish,
        applied: Option<oneshot::Sender<()>>,
    ) -> FinishRequest {
        let (tenant, id, fence) = (self.tenant.clone(), self.id.clone(), self.fence);
        FinishRequest { ticket: Arc::clone(self), job: FinishedJob { tenant, id, fence, finish }, applied }
    }
}

/// Travels with the task. A task that is dropped before it ended gives its job back.
#[derive(Debug)]
pub(super) struct TicketGuard {
    pub(super) ticket: Arc<Ticket>,
    pub(super) finishes: mpsc::Sender<FinishRequest>,
}

impl TicketGuard {
    /// Ends the job and waits until Redis knows.
    pub(super) async fn finish(&self, finish: Finish) {
        if !self.ticket.settle() {
            return;
        }
        let (applied, done) = oneshot::channel();
        if self.finishes.send(self.ticket.request(finish, Some(applied))).await.is_ok() {
            // An error means that the finisher has gone, at the end of a shutdown that gave this job back.
            done.await.ok();
        }
    }
}

impl Drop for TicketGuard {
    fn drop(&mut self) {
        if self.ticket.settle() {
            // When the channel is full, the lease ends by itself.
            self.finishes.try_send(self.ticket.request(Verdict::Released.into(), None)).ok();
        }
    }
}
