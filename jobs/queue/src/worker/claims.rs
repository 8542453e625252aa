//! What this process has claimed, until when it may believe so, and the right to end each job, once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::claim::ClaimedJob;
use crate::finish::{Finish, FinishedJob, Verdict, WorkerTime, micros};

/// Fences are unique in their shard only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClaimId {
    pub(crate) shard: u16,
    pub(crate) fence: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Claims {
    live: Mutex<HashMap<ClaimId, LiveClaim>>,
    changed: Notify,
}

#[derive(Debug)]
struct LiveClaim {
    confirmed_until: Instant,
    lost: bool,
    /// The tickets, each at its [`Ticket::place`].
    jobs: Vec<Option<Arc<Ticket>>>,
    left: usize,
}

impl LiveClaim {
    fn tickets(&self) -> impl Iterator<Item = &Arc<Ticket>> {
        self.jobs.iter().flatten()
    }

    fn lose(&mut self) {
        self.lost = true;
        self.tickets().for_each(|ticket| ticket.cancel.cancel());
    }
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimId, LiveClaim>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, ticket: &Arc<Ticket>, confirmed_until: Instant) {
        let mut live = self.lock();
        let claim = live.entry(ticket.claim).or_insert_with(|| LiveClaim {
            confirmed_until,
            lost: false,
            jobs: Vec::new(),
            left: 0,
        });
        if claim.jobs.len() <= ticket.place {
            claim.jobs.resize(ticket.place + 1, None);
        }
        if claim.jobs[ticket.place].replace(Arc::clone(ticket)).is_none() {
            claim.left += 1;
        }
    }

    pub(crate) fn remove(&self, ticket: &Ticket) {
        let mut live = self.lock();
        if let Some(claim) = live.get_mut(&ticket.claim)
            && claim.jobs.get_mut(ticket.place).and_then(Option::take).is_some()
        {
            claim.left -= 1;
            if claim.left == 0 {
                live.remove(&ticket.claim);
            }
        }
        drop(live);
        self.changed.notify_waiters();
    }

    /// Fences of a shard's claims to renew: all but the lost ones, whose jobs another worker may have.
    pub(crate) fn fences(&self, shard: u16) -> Vec<u64> {
        let live = self.lock();
        let worth = live.iter().filter(|(id, claim)| id.shard == shard && !claim.lost);
        worth.map(|(id, _)| id.fence).collect()
    }

    pub(crate) fn confirm(&self, id: ClaimId, until: Instant) {
        if let Some(claim) = self.lock().get_mut(&id) {
            // An answer that arrives late must not shorten what a newer one has confirmed.
            claim.confirmed_until = claim.confirmed_until.max(until);
        }
    }

    /// Stops the work of a claim that another worker has now. Returns the number of jobs stopped.
    pub(crate) fn lose(&self, id: ClaimId) -> usize {
        let mut live = self.lock();
        let Some(claim) = live.get_mut(&id).filter(|claim| !claim.lost) else { return 0 };
        claim.lose();
        claim.left
    }

    /// Stops the work of claims whose lease is not confirmed beyond `moment`: another worker may claim these jobs
    /// then.
    pub(crate) fn lose_unconfirmed(&self, moment: Instant) -> usize {
        let mut stopped = 0;
        for claim in self.lock().values_mut().filter(|claim| !claim.lost && claim.confirmed_until <= moment) {
            claim.lose();
            stopped += claim.left;
        }
        stopped
    }

    /// Stops one job that was cancelled.
    pub(crate) fn call_off(&self, claim: ClaimId, id: &str) {
        let live = self.lock();
        if let Some(ticket) =
            live.get(&claim).and_then(|claim| claim.tickets().find(|ticket| &*ticket.id == id))
        {
            ticket.call_off();
        }
    }

    /// Stops a partition's jobs that were claimed up to `last`. Later claims hold jobs pushed after the cancellation,
    /// which must run.
    pub(crate) fn call_off_partition(&self, partition: &str, last: ClaimId) {
        let of_shard = |id: &ClaimId| id.shard == last.shard && id.fence <= last.fence;
        for (_, claim) in self.lock().iter().filter(|(id, _)| of_shard(id)) {
            claim
                .tickets()
                .filter(|ticket| &*ticket.partition == partition)
                .for_each(|ticket| ticket.call_off());
        }
    }

    /// Worker time that was not charged yet, of a shard's partitions, in microseconds.
    pub(crate) fn take_uncharged_us(&self, shard: u16) -> Vec<(Arc<str>, i64)> {
        let mut charges: HashMap<Arc<str>, i64> = HashMap::new();
        for ticket in self.tickets().iter().filter(|ticket| ticket.claim.shard == shard) {
            let us = ticket.take_uncharged_us();
            if us > 0 {
                *charges.entry(Arc::clone(&ticket.partition)).or_default() += us;
            }
        }
        charges.into_iter().collect()
    }

    /// The number of jobs that still run more than `patience` after their stop signal.
    pub(crate) fn stuck(&self, patience: Duration) -> usize {
        let live = self.lock();
        let tickets = live.values().flat_map(LiveClaim::tickets);
        tickets.filter(|ticket| ticket.overdue().is_some_and(|overdue| overdue > patience)).count()
    }

    /// How long the job that runs longest has been running.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let live = self.lock();
        live.values().flat_map(LiveClaim::tickets).filter_map(|ticket| ticket.ran_for()).max()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn cancel_all(&self) {
        for claim in self.lock().values() {
            claim.tickets().for_each(|ticket| ticket.cancel.cancel());
        }
    }

    pub(crate) fn tickets(&self) -> Vec<Arc<Ticket>> {
        self.lock().values().flat_map(|claim| claim.tickets().cloned()).collect()
    }

    pub(crate) fn job_count(&self) -> usize {
        self.lock().values().map(|claim| claim.left).sum()
    }

    /// Waits until nothing is claimed. `false` when that takes longer than `deadline`.
    pub(crate) async fn drained(&self, deadline: Duration) -> bool {
        let empty = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.lock().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(deadline, empty).await.is_ok()
    }
}

/// One claimed job and the slot it takes up.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) partition: Arc<str>,
    pub(crate) id: Arc<str>,
    pub(crate) claim: ClaimId,
    /// The index of the job in its claim.
    pub(crate) place: usize,
    pub(crate) attempts: u32,
    pub(crate) payload: Option<Bytes>,
    pub(crate) cancel: CancellationToken,
    /// Set when the job was cancelled, as opposed to its claim being lost or its worker stopping.
    pub(crate) called_off: Arc<AtomicBool>,
    record_bytes: usize,
    /// Worker time its partition has paid for it, in microseconds.
    charged_us: AtomicI64,
    started: OnceLock<Instant>,
    told_to_stop: OnceLock<Instant>,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    settled: AtomicBool,
}

/// A finish on its way to Redis.
#[derive(Debug)]
pub(crate) struct FinishRequest {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) job: FinishedJob,
}

impl Ticket {
    /// The ticket of the claimed job at `place` of its claim. It was in its partition's queue after `attempts`
    /// failures.
    pub(crate) fn new(
        job: &ClaimedJob,
        (claim, place): (ClaimId, usize),
        attempts: u32,
        payload: Option<Bytes>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            partition: Arc::clone(&job.partition),
            id: Arc::clone(&job.id),
            claim,
            place,
            attempts,
            payload,
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
    pub(crate) fn start(&self) {
        self.started.get_or_init(Instant::now);
    }

    /// How long a worker has had it.
    pub(crate) fn ran_for(&self) -> Option<Duration> {
        self.started.get().map(Instant::elapsed)
    }

    /// Marks the job as cancelled and fires its token.
    pub(crate) fn call_off(&self) {
        self.called_off.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// For how long it has been running since its stop signal.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        let told = self.cancel.is_cancelled() && self.started.get().is_some();
        told.then(|| self.told_to_stop.get_or_init(Instant::now).elapsed())
    }

    /// Worker time beyond what was charged, in microseconds. It counts as charged from now on.
    pub(crate) fn take_uncharged_us(&self) -> i64 {
        let Some(ran_for) = self.ran_for() else { return 0 };
        let ran_us = micros(ran_for);
        (ran_us - self.charged_us.fetch_max(ran_us, Ordering::AcqRel)).max(0)
    }

    fn time(&self) -> Option<WorkerTime> {
        let charged_us = u64::try_from(self.charged_us.load(Ordering::Acquire)).unwrap_or(0);
        Some(WorkerTime { charged: Duration::from_micros(charged_us), took: self.ran_for()? })
    }

    /// Claims the right to end the job. Only the first caller gets it.
    pub(crate) fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn free_slot(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn request(self: &Arc<Self>, finish: Finish) -> FinishRequest {
        let job = FinishedJob {
            partition: Arc::clone(&self.partition),
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
pub(crate) struct TicketGuard {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) finishes: mpsc::Sender<FinishRequest>,
}

impl TicketGuard {
    /// Hands the end of the job to the finisher. The job keeps its slot until Redis knows.
    pub(crate) fn finish(&self, finish: Finish) {
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
