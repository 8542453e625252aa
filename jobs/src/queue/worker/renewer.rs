//! Keeps claims alive, and stops their work before they can end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;

/// Most claims in one call.
const CALL_CLAIMS: usize = 500;

/// Renews every claim at a third of its lease, sooner after a failure.
pub(super) async fn run(shared: Arc<Shared>) {
    let lease = shared.queue.config().lease;
    let mut wait = lease / 3;
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(wait)) => {}
        }
        wait = if renew(&shared, lease).await { lease / 3 } else { lease / 12 };
    }
}

async fn renew(shared: &Shared, lease: Duration) -> bool {
    let mut charges = shared.claims.take_uncharged_us();
    for fences in shared.claims.fences().chunks(CALL_CLAIMS) {
        // The lease counts from when we asked: the answer may have taken its time.
        let asked = Instant::now();
        match shared.queue.renew_charged(fences, &std::mem::take(&mut charges)).await {
            Ok(held) => {
                for (&fence, held) in fences.iter().zip(held) {
                    if held {
                        shared.claims.confirm(fence, asked + lease);
                    } else {
                        report_lost(shared.claims.lose(fence), "lost a claim, its jobs are cancelled");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = report(&error), "cannot renew claims, trying again");
                return false;
            }
        }
    }
    true
}

/// Cancels the work of claims that could not be confirmed in time, while they still hold.
pub(super) async fn watch(shared: Arc<Shared>) {
    let lease = shared.queue.config().lease;
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(lease / 24) => {}
        }
        let stopped = shared.claims.lose_unconfirmed(Instant::now() + lease / 6);
        report_lost(stopped, "could not confirm a claim before its end, its jobs are cancelled");
    }
}

fn report_lost(jobs: usize, what: &str) {
    if jobs > 0 {
        tracing::warn!(jobs, "{what}");
    }
}
