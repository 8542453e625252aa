//! From claimed jobs to tasks of an apalis worker.

use std::sync::Arc;
use std::time::Instant;

use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use tokio::sync::OwnedSemaphorePermit;

use super::backoff::Backoff;
use super::claims::ClaimId;
use super::job::FetchedJob;
use super::shared::Shared;
use super::ticket::{Ticket, TicketGuard};
use crate::error::report;
use crate::queue::claim::{Claim, ClaimedJob};
use crate::queue::finish::Verdict;
use crate::queue::record;

/// Reads what claimed jobs are, and hands them to apalis, each with its slot. A claim whose records cannot be read
/// for long is left to its lease.
pub(super) async fn deliver(
    shared: &Shared,
    mut claim: Claim,
    mut slots: OwnedSemaphorePermit,
    lease_end: Instant,
) {
    let lease = shared.queue.config().lease;
    let mut backoff = Backoff::new();
    while let Err(error) = shared.queue.read_records(&mut claim).await {
        tracing::warn!(error = report(&error), queue.shard = claim.shard, "cannot read jobs, trying again");
        if shared.stopping.is_cancelled() || Instant::now() + lease * 2 / 3 > lease_end {
            return;
        }
        backoff.wait().await;
    }
    let mut tasks = Vec::with_capacity(claim.jobs.len());
    let id = ClaimId { shard: claim.shard, fence: claim.fence };
    for (place, job) in claim.jobs.iter().enumerate() {
        let place = (id, place);
        // An answer that got lost may bring more than there are slots now.
        let Some(slot) = slots.split(1) else {
            give_back(shared, job, place, lease_end).await;
            continue;
        };
        match admit(shared, job, place, slot, lease_end) {
            Ok(task) => tasks.push(task),
            Err((ticket, code)) => quarantine(shared, &ticket, code).await,
        }
    }
    // Dropping a task gives its job back.
    drop(shared.buffer.add(tasks));
}

async fn give_back(shared: &Shared, job: &ClaimedJob, place: (ClaimId, usize), lease_end: Instant) {
    let ticket = Arc::new(Ticket::new(job, place, 0, None, None));
    shared.claims.add(&ticket, lease_end);
    if ticket.settle() {
        let request = ticket.request(Verdict::Released.into());
        shared.finishes(job.shard).send(request).await.ok();
    }
}

/// The job as a task; or, when the queue's own record of it cannot be used, why.
fn admit(
    shared: &Shared,
    job: &ClaimedJob,
    place: (ClaimId, usize),
    slot: OwnedSemaphorePermit,
    lease_end: Instant,
) -> Result<Task<FetchedJob>, (Arc<Ticket>, &'static str)> {
    let record = job.record.as_deref();
    let read = record.and_then(record::parse).filter(|record| record.tenant == &*job.tenant);
    let ids = job.tenant.parse().ok().zip(job.id.parse().ok());
    let (Some(read), Some((tenant_id, job_id))) = (read, ids) else {
        let code = if record.is_some() { "record_damaged" } else { "record_missing" };
        let ticket = Arc::new(Ticket::new(job, place, 0, None, Some(slot)));
        shared.claims.add(&ticket, lease_end);
        return Err((ticket, code));
    };
    let wire: Arc<str> = read.wire.into();
    let ticket = Arc::new(Ticket::new(job, place, read.attempts, Some(Arc::clone(&wire)), Some(slot)));
    shared.claims.add(&ticket, lease_end);
    let fetched = FetchedJob {
        tenant: tenant_id,
        id: job_id,
        wire,
        attempts: read.attempts,
        deaths: read.deaths,
        interruptions: read.interruptions,
        parks: read.parks,
        redriven: read.redriven,
        fence: ticket.claim.fence,
        cancel: ticket.cancel.clone(),
        called_off: Arc::clone(&ticket.called_off),
    };
    let guard = TicketGuard { ticket, finishes: shared.finishes(job.shard).clone() };
    Ok(TaskBuilder::new(fetched).data(Arc::new(guard)).build())
}

async fn quarantine(shared: &Shared, ticket: &Arc<Ticket>, code: &'static str) {
    let reason = "the queue's own record of the job cannot be used".to_owned();
    if ticket.settle() {
        let request = ticket.request(Verdict::Quarantined { code, reason }.into());
        shared.finishes(ticket.claim.shard).send(request).await.ok();
        shared.report_quarantined(&ticket.tenant, &ticket.id, None, code);
    }
}
