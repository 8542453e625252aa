//! Stops the work of jobs that somebody cancelled, and notices work that does not stop.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use redis::Cmd;

use super::backoff::jittered;
use super::claims::ClaimId;
use super::shared::Shared;
use crate::error::report;
use crate::queue::connection::Resend;
use crate::queue::error::QueueError;

/// How often a worker that runs something looks. A poll, because a message can get lost.
const PERIOD: Duration = Duration::from_millis(400);
/// Most requests that are read at once. They leave when the jobs end.
const REQUESTS: isize = 1_000;
/// Work that goes on for this long after it was told to stop is stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut stuck_before = 0;
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(PERIOD)) => {}
        }
        if !shared.claims.is_empty() {
            join_all(shared.queue.shards().map(|shard| look(&shared, shard))).await;
        }
        let stuck = shared.claims.stuck(STUCK);
        if stuck > stuck_before {
            tracing::error!(
                jobs = stuck,
                "jobs do not stop although they were told to; they hold their slots"
            );
        }
        stuck_before = stuck;
    }
}

async fn look(shared: &Shared, shard: u16) {
    if let Err(error) = call_off(shared, shard).await {
        tracing::warn!(
            queue.shard = shard,
            error = report(&error),
            "cannot see which jobs were cancelled, trying again"
        );
    }
}

async fn call_off(shared: &Shared, shard: u16) -> Result<(), QueueError> {
    let mut command = Cmd::new();
    command.arg("ZREVRANGE").arg(shared.queue.key(shard, "s")).arg(0).arg(REQUESTS);
    let requests: Vec<Vec<u8>> = shared.queue.servers().query(shard, &command, Resend::Safe).await?;
    let claim = |fence: &str| ClaimId { shard, fence: fence.parse().unwrap_or(0) };
    for request in requests {
        // A damaged entry must not hide the others.
        let Ok(request) = String::from_utf8(request) else { continue };
        let mut words = request.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("*"), Some(tenant), Some(fence)) => shared.claims.call_off_tenant(tenant, claim(fence)),
            (Some(fence), Some(id), None) => shared.claims.call_off(claim(fence), id),
            _ => {}
        }
    }
    Ok(())
}
