//! Claims as many jobs as there are free slots, never more, and waits when there is nothing to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use tokio::sync::OwnedSemaphorePermit;

use super::backoff::{Backoff, jittered};
use super::job::FetchedJob;
use super::shared::Shared;
use super::ticket::{Ticket, TicketGuard};
use crate::queue::claim::{Claim, ClaimedJob, FetchRequest, Fetched};
use crate::queue::connection::{Connection, Resend};
use crate::queue::error::QueueError;
use crate::queue::finish::Verdict;
use crate::queue::record;

/// Most jobs in one claim.
const CLAIM_JOBS: usize = 200;
/// How long a wait on the wake-up markers lasts at most, on average. They are hints; this is the fallback.
const POLL: Duration = Duration::from_millis(1_500);
/// The shortest wait.
const SHORTEST: Duration = Duration::from_millis(2);
/// How long a feeder with no free slot waits until it proves that it is alive.
const PROOF: Duration = Duration::from_secs(1);

pub(super) async fn run(shared: Arc<Shared>) {
    let markers = shared.queue.separate_connection();
    let mut feeder = Feeder { shared, markers, backoff: Backoff::new(), attempt: 0, again: 0 };
    while let Some(slots) = feeder.free_slots().await {
        feeder.attempt += 1;
        feeder.feed(slots).await;
    }
}

struct Feeder {
    shared: Arc<Shared>,
    markers: Connection,
    backoff: Backoff,
    attempt: u64,
    /// How often in a row the queue said "ask again".
    again: u32,
}

impl Feeder {
    /// Waits for free slots; `None` when the worker stops.
    async fn free_slots(&mut self) -> Option<OwnedSemaphorePermit> {
        loop {
            let slot = Arc::clone(&self.shared.slots).acquire_owned();
            let slot = tokio::select! {
                () = self.shared.stopping.cancelled() => return None,
                slot = tokio::time::timeout(PROOF, slot) => slot,
            };
            match slot {
                Ok(Ok(first)) => return Some(self.with_others(first)),
                Ok(Err(_closed)) => return None,
                Err(_elapsed) => self.prove().await,
            }
        }
    }

    fn with_others(&self, mut first: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
        let others = self.shared.slots.available_permits().min(CLAIM_JOBS - 1);
        let others = u32::try_from(others).unwrap_or(0);
        if others > 0
            && let Ok(others) = Arc::clone(&self.shared.slots).try_acquire_many_owned(others)
        {
            first.merge(others);
        }
        first
    }

    async fn prove(&mut self) {
        match self.shared.queue.ping().await {
            Ok(()) => self.shared.polled(),
            Err(error) => tracing::debug!(%error, "no sign of life from redis"),
        }
    }

    /// Asks until there is an answer. A claim whose answer got lost is asked for again rather than left to
    /// its lease.
    async fn feed(&mut self, slots: OwnedSemaphorePermit) {
        let started = Instant::now();
        let lease = self.shared.queue.config().lease;
        while !self.shared.stopping.is_cancelled() && started.elapsed() < lease / 3 {
            let request = FetchRequest {
                worker: &self.shared.name,
                attempt: self.attempt,
                lanes: &self.shared.options.lanes,
                limit: slots.num_permits(),
                quantum: self.shared.options.quantum,
            };
            match self.shared.queue.fetch(request).await {
                Ok(answer) => {
                    self.backoff.reset();
                    self.shared.polled();
                    return self.use_answer(answer, slots, started + lease).await;
                }
                Err(error) => self.wait_after(&error, "cannot fetch jobs, trying again").await,
            }
        }
    }

    async fn wait_after(&mut self, error: &QueueError, what: &str) {
        tracing::warn!(error = crate::error::report(error), "{what}");
        tokio::select! {
            () = self.shared.stopping.cancelled() => {}
            () = self.backoff.wait() => {}
        }
    }

    async fn use_answer(&mut self, answer: Fetched, slots: OwnedSemaphorePermit, lease_end: Instant) {
        match answer {
            Fetched::Claim(claim) => {
                self.again = 0;
                self.deliver(claim, slots, lease_end).await;
            }
            Fetched::Nothing { next_in, more, lane_numbers } => {
                drop(slots);
                self.wait_for_work(next_in, more, &lane_numbers).await;
            }
        }
    }

    async fn wait_for_work(&mut self, next_in: Option<Duration>, more: bool, lanes: &[u64]) {
        if more {
            // Usually once or twice. A damaged index could say so for ever: that must not become a busy loop.
            tokio::time::sleep(SHORTEST * 2_u32.pow(self.again.min(8))).await;
            self.again += 1;
            return;
        }
        self.again = 0;
        let wait = next_in.unwrap_or(POLL).clamp(SHORTEST, jittered(POLL));
        if lanes.is_empty() {
            tokio::time::sleep(wait).await;
            return;
        }
        let mut command = redis::cmd("BZPOPMIN");
        for lane in lanes {
            command.arg(self.shared.queue.key(&format!("mk:{lane}")));
        }
        command.arg(wait.as_secs_f64());
        let deadline = wait + self.shared.queue.config().call_deadline;
        let popped = self.markers.query_within::<redis::Value>(&command, Resend::Never, deadline);
        let popped = tokio::select! {
            () = self.shared.stopping.cancelled() => return,
            popped = popped => popped,
        };
        match popped {
            Ok(_) => self.shared.polled(),
            Err(error) => self.wait_after(&error, "cannot wait for jobs, trying again").await,
        }
    }

    async fn deliver(&mut self, claim: Claim, mut slots: OwnedSemaphorePermit, lease_end: Instant) {
        let mut tasks = Vec::with_capacity(claim.jobs.len());
        for job in claim.jobs {
            let Some(slot) = slots.split(1) else { break };
            match self.admit(&job, claim.fence, slot, lease_end) {
                Ok(task) => tasks.push(task),
                Err((ticket, code)) => self.quarantine(&ticket, code).await,
            }
        }
        // Dropping a task gives its job back.
        drop(self.shared.buffer.add(tasks));
    }

    /// The job as a task; or, when the queue's own record of it cannot be used, why.
    fn admit(
        &self,
        job: &ClaimedJob,
        fence: u64,
        slot: OwnedSemaphorePermit,
        lease_end: Instant,
    ) -> Result<Task<FetchedJob>, (Arc<Ticket>, &'static str)> {
        let record = job.record.as_deref();
        let read = record.and_then(record::parse).filter(|record| record.tenant == job.tenant);
        let ids = job.tenant.parse().ok().zip(job.id.parse().ok());
        let (Some(read), Some((tenant_id, job_id))) = (read, ids) else {
            let code = if record.is_some() { "record_damaged" } else { "record_missing" };
            let ticket = Arc::new(Ticket::new(job, fence, 0, None, slot));
            self.shared.claims.add(&ticket, lease_end);
            return Err((ticket, code));
        };
        let wire: Arc<str> = read.wire.into();
        let ticket = Arc::new(Ticket::new(job, fence, read.attempts, Some(Arc::clone(&wire)), slot));
        self.shared.claims.add(&ticket, lease_end);
        let fetched = FetchedJob {
            tenant: tenant_id,
            id: job_id,
            wire,
            attempts: read.attempts,
            deaths: read.deaths,
            interruptions: read.interruptions,
            parks: read.parks,
            fence,
            cancel: ticket.cancel.clone(),
            called_off: Arc::clone(&ticket.called_off),
        };
        let guard = TicketGuard { ticket, finishes: self.shared.finishes.clone() };
        Ok(TaskBuilder::new(fetched).data(Arc::new(guard)).build())
    }

    async fn quarantine(&self, ticket: &Arc<Ticket>, code: &'static str) {
        let reason = "the queue's own record of the job cannot be used".to_owned();
        if ticket.settle() {
            let request = ticket.request(Verdict::Quarantined { code, reason }.into(), None);
            self.shared.finishes.send(request).await.ok();
            self.shared.report_quarantined(&ticket.tenant, &ticket.id, None, code);
        }
    }
}
