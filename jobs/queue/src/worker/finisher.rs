//! Reports finished jobs to Redis: all that wait at a time in one call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::describe::report;
use crate::error::QueueError;
use crate::finish::{Charges, Finish, FinishedJob, Verdict};
use crate::worker::claims::{FinishRequest, Ticket};
use crate::worker::worker_queue::{Backoff, Shared};

/// Most jobs in one call.
const BATCH_JOBS: usize = 200;
/// Corrections of a partition's charge smaller than this wait until they add up.
const LEAST_CHARGE: Duration = Duration::from_millis(2);

pub(super) async fn run(shared: Arc<Shared>, mut requests: mpsc::Receiver<FinishRequest>) {
    let (mut backoff, mut charges) = (Backoff::new(), Charges::default());
    loop {
        let mut batch = Vec::with_capacity(BATCH_JOBS);
        let received = tokio::select! {
            biased;
            received = requests.recv_many(&mut batch, BATCH_JOBS) => received,
            () = shared.ending.cancelled() => 0,
        };
        if received == 0 {
            return;
        }
        batch.iter_mut().for_each(refuse_impossible);
        for request in &batch {
            charges.add(&request.job);
        }
        let (tickets, jobs) = batch.into_iter().map(|request| (request.ticket, request.job)).unzip();
        apply(&shared, Batch { tickets, jobs }, charges.take_large(LEAST_CHARGE), &mut backoff).await;
    }
}

/// A handler that asks for something the queue never does has failed for good.
fn refuse_impossible(request: &mut FinishRequest) {
    let Err(error) = request.job.check() else { return };
    let code = match error {
        QueueError::TooManyChildren { .. } => "too_many_children",
        _ => "foreign_child",
    };
    let FinishedJob { partition, id, .. } = &request.job;
    tracing::error!(tenant.id = %partition, job.id = %id, %error, "impossible finish, job discarded");
    request.job.finish = Finish::of(Verdict::Discarded { code, reason: error.to_string() });
}

/// Finished jobs, each with the ticket at the same index.
struct Batch {
    tickets: Vec<Arc<Ticket>>,
    jobs: Vec<FinishedJob>,
}

impl Batch {
    /// Splits off the second half.
    fn split(&mut self) -> Self {
        let at = self.jobs.len() / 2;
        Self { tickets: self.tickets.split_off(at), jobs: self.jobs.split_off(at) }
    }
}

/// Retries until Redis answers. The jobs keep their slots meanwhile, so that during an outage of Redis the worker
/// stops fetching instead of collecting finished jobs in memory.
async fn apply(shared: &Shared, mut batch: Batch, mut charges: Charges, backoff: &mut Backoff) {
    let mut resent = false;
    while !batch.jobs.is_empty() {
        let Batch { tickets, jobs } = &mut batch;
        match shared.queue.finish_charged(jobs, &charges).await {
            Ok(applied) => {
                backoff.reset();
                for ((ticket, job), applied) in tickets.iter().zip(jobs.iter()).zip(applied) {
                    if !applied && !resent {
                        warn_stale(job);
                    }
                    release_locally(shared, ticket);
                }
                return;
            }
            Err(error) if !error.is_passing() && jobs.len() > 1 => {
                // One job of the batch is invalid. Splitting isolates it, so that it cannot hold up the others.
                let half = batch.split();
                Box::pin(apply(shared, half, std::mem::take(&mut charges), backoff)).await;
            }
            Err(error) if !error.is_passing() => {
                tracing::error!(
                    error = report(&error),
                    job.id = %jobs[0].id,
                    "finish refused, its lease will end"
                );
                for ticket in tickets.iter() {
                    release_locally(shared, ticket);
                }
                return;
            }
            Err(error) => {
                // The lost answer may have been "applied", so that a refusal of the resend proves no stale claim.
                resent = true;
                tracing::warn!(error = report(&error), jobs = jobs.len(), "cannot finish jobs, trying again");
                if shared.ending.is_cancelled() {
                    return;
                }
                backoff.wait().await;
            }
        }
    }
}

fn warn_stale(job: &FinishedJob) {
    let FinishedJob { partition, id, fence, .. } = job;
    tracing::warn!(
        tenant.id = %partition,
        job.id = %id,
        job.fence = fence,
        "stale finish: the claim was lost before"
    );
}

fn release_locally(shared: &Shared, ticket: &Ticket) {
    shared.claims.remove(ticket);
    ticket.free_slot();
}
