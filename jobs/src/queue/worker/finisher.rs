//! Tells Redis how jobs ended: all that wait at a time in one call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::shared::Shared;
use super::ticket::FinishRequest;
use crate::error::report;
use crate::queue::charge::Charges;
use crate::queue::error::QueueError;
use crate::queue::finish::{Finish, Verdict};
use crate::queue::finishing::FinishedJob;

/// Most jobs in one call.
const BATCH_JOBS: usize = 200;
/// Corrections of a tenant's charge smaller than this wait until they add up.
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
        apply(&shared, batch, charges.take_large(LEAST_CHARGE), &mut backoff).await;
    }
}

/// A handler that asks for something the queue never does has failed for good.
fn refuse_impossible(request: &mut FinishRequest) {
    let Err(error) = request.job.check() else { return };
    let code = match error {
        QueueError::TooManyChildren { .. } => "too_many_children",
        _ => "foreign_child",
    };
    let FinishedJob { tenant, id, .. } = &request.job;
    tracing::error!(tenant.id = tenant, job.id = id, %error, "impossible finish, job discarded");
    request.job.finish = Finish::of(Verdict::Discarded { code, reason: error.to_string() });
}

/// Tries until Redis has answered. The channel behind us is bounded, so a Redis that is away slows the
/// handlers down rather than filling the memory.
async fn apply(shared: &Shared, mut batch: Vec<FinishRequest>, mut charges: Charges, backoff: &mut Backoff) {
    let mut resent = false;
    while !batch.is_empty() {
        let jobs: Vec<FinishedJob> = batch.iter().map(|request| request.job.clone()).collect();
        match shared.queue.finish_charged(&jobs, &charges).await {
            Ok(applied) => {
                backoff.reset();
                for (request, applied) in batch.drain(..).zip(applied) {
                    settle(shared, request, applied || resent);
                }
            }
            Err(error) if !error.is_passing() && batch.len() > 1 => {
                // One of them is at fault. Alone, it cannot hold up the others.
                let half = batch.split_off(batch.len() / 2);
                Box::pin(apply(shared, half, std::mem::take(&mut charges), backoff)).await;
            }
            Err(error) if !error.is_passing() => {
                tracing::error!(
                    error = report(&error),
                    job.id = jobs[0].id,
                    "finish refused, its lease will end"
                );
                batch.drain(..).for_each(|request| release_locally(shared, request));
            }
            Err(error) => {
                resent = true;
                tracing::warn!(
                    error = report(&error),
                    jobs = batch.len(),
                    "cannot finish jobs, trying again"
                );
                if shared.ending.is_cancelled() {
                    return;
                }
                backoff.wait().await;
            }
        }
    }
}

fn settle(shared: &Shared, request: FinishRequest, applied: bool) {
    if !applied {
        let FinishedJob { tenant, id, fence, .. } = &request.job;
        tracing::warn!(
            tenant.id = tenant,
            job.id = id,
            job.fence = fence,
            "stale finish: the claim was lost before"
        );
    }
    release_locally(shared, request);
}

fn release_locally(shared: &Shared, request: FinishRequest) {
    shared.claims.remove(&request.ticket);
    request.ticket.free_slot();
    if let Some(applied) = request.applied {
        applied.send(()).ok();
    }
}
