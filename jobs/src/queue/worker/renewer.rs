//! Keeps claims alive, and stops their work before they can end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::backoff::jittered;
use super::claims::ClaimId;
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

/// Every shard at once: one that cannot be reached must not delay the others.
async fn renew(shared: &Shared, lease: Duration) -> bool {
    let shards = shared.queue.shards().map(|shard| renew_shard(shared, shard, lease));
    join_all(shards).await.into_iter().all(|renewed| renewed)
}

async fn renew_shard(shared: &Shared, shard: u16, lease: Duration) -> bool {
    let mut charges = shared.claims.take_uncharged_us(shard);
    for fences in shared.claims.fences(shard).chunks(CALL_CLAIMS) {
        // The lease counts from when we asked: the answer may have taken its time.
        let asked = Instant::now();
        match shared.queue.renew_charged(shard, fences, &std::mem::take(&mut charges)).await {
            Ok(held) => {
                for (&fence, held) in fences.iter().zip(held) {
                    let id = ClaimId { shard, fence };
                    if held {
                        shared.claims.confirm(id, asked + lease);
                    } else {
                        report_lost(shared.claims.lose(id), "lost a claim, its jobs are cancelled");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(
                    queue.shard = shard,
                    error = report(&error),
                    "cannot renew claims, trying again"
                );
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
