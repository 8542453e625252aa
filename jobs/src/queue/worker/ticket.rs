//! The right to end one claimed job, once.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::claims::ClaimId;
use crate::queue::charge::{WorkerTime, micros};
use crate::queue::claim::ClaimedJob;
use crate::queue::finish::{Finish, Verdict};
use crate::queue::finishing::FinishedJob;

/// One claimed job and the slot it takes up.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) tenant: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) claim: ClaimId,
    /// Which job of its claim it is.
    pub(super) place: usize,
    pub(super) attempts: u32,
    pub(super) wire: Option<Arc<str>>,
    pub(super) cancel: CancellationToken,
    /// Somebody cancelled the job, as opposed to its claim being lost or its worker stopping.
    pub(super) called_off: Arc<AtomicBool>,
    record_bytes: usize,
    /// Worker time its tenant has paid for it, in microseconds.
    charged_us: AtomicI64,
    started: OnceLock<Instant>,
    told_to_stop: OnceLock<Instant>,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    settled: AtomicBool,
}

/// A finish on its way to Redis.
#[derive(Debug)]
pub(super) struct FinishRequest {
    pub(super) ticket: Arc<Ticket>,
    pub(super) job: FinishedJob,
}

impl Ticket {
    /// The ticket of the claimed job at `place` of its claim. It was in its tenant's queue after `attempts` failures.
    pub(super) fn new(
        job: &ClaimedJob,
        (claim, place): (ClaimId, usize),
        attempts: u32,
        wire: Option<Arc<str>>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            tenant: Arc::clone(&job.tenant),
            id: Arc::clone(&job.id),
            claim,
            place,
            attempts,
            wire,
            cancel: CancellationToken::new(),
            called_off: Arc::default(),
            record_bytes: job.record.as_ref().map_or(0, Vec::len),
            charged_us: AtomicI64::new(micros(job.charged)),
            started: OnceLock::new(),
            told_to_stop: OnceLock::new(),
            slot: Mutex::new(slot),
            settled: AtomicBool::new(false),
        }
    }

    /// A worker takes it.
    pub(super) fn start(&self) {
        self.started.get_or_init(Instant::now);
    }

    /// How long a worker has had it.
    pub(super) fn ran_for(&self) -> Option<Duration> {
        self.started.get().map(Instant::elapsed)
    }

    /// Somebody cancelled it.
    pub(super) fn call_off(&self) {
        self.called_off.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// For how long it has been running although it was told to stop.
    pub(super) fn overdue(&self) -> Option<Duration> {
        let told = self.cancel.is_cancelled() && self.started.get().is_some();
        told.then(|| self.told_to_stop.get_or_init(Instant::now).elapsed())
    }

    /// Worker time beyond what was charged, in microseconds. It counts as charged from now on.
    pub(super) fn take_uncharged_us(&self) -> i64 {
        let Some(ran_for) = self.ran_for() else { return 0 };
        let ran_us = micros(ran_for);
        (ran_us - self.charged_us.fetch_max(ran_us, Ordering::AcqRel)).max(0)
    }

    fn time(&self) -> Option<WorkerTime> {
        let charged_us = u64::try_from(self.charged_us.load(Ordering::Acquire)).unwrap_or(0);
        Some(WorkerTime { charged: Duration::from_micros(charged_us), took: self.ran_for()? })
    }

    /// Takes the right to end the job; only the first caller gets it.
    pub(super) fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::AcqRel)
    }

    pub(super) fn free_slot(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn request(self: &Arc<Self>, finish: Finish) -> FinishRequest {
        let job = FinishedJob {
            tenant: Arc::clone(&self.tenant),
            id: Arc::clone(&self.id),
            shard: self.claim.shard,
            fence: self.claim.fence,
            finish,
            record_bytes: self.record_bytes,
            time: self.time(),
        };
        FinishRequest { ticket: Arc::clone(self), job }
    }
}

/// Travels with the task. A task that is dropped before it ended gives its job back.
#[derive(Debug)]
pub(super) struct TicketGuard {
    pub(super) ticket: Arc<Ticket>,
    pub(super) finishes: mpsc::Sender<FinishRequest>,
}

impl TicketGuard {
    /// Hands the end of the job to the finisher. The job keeps its slot until Redis knows.
    pub(super) fn finish(&self, finish: Finish) {
        if self.ticket.settle() {
            self.send(finish);
        }
    }

    /// The channel has room for every slot, and may yet be full of jobs that are given back without one. A closed
    /// one means that a shutdown has given this job back.
    fn send(&self, finish: Finish) {
        let Err(TrySendError::Full(request)) = self.finishes.try_send(self.ticket.request(finish)) else {
            return;
        };
        // Without a runtime the process is ending, and so will the lease.
        if let Ok(runtime) = Handle::try_current() {
            let finishes = self.finishes.clone();
            runtime.spawn(async move { finishes.send(request).await.ok() });
        }
    }
}

impl Drop for TicketGuard {
    fn drop(&mut self) {
        if self.ticket.settle() {
            self.send(Verdict::Released.into());
        }
    }
}
