//! Whether a queue is quiet enough to be changed.

use std::time::{Duration, Instant};

use super::keys::{Walk, ask};
use super::reshard::ReshardError;
use crate::queue::client::Queue;
use crate::queue::connection::Resend;
use crate::queue::error::QueueError;
use crate::queue::heartbeat;
use crate::queue::library::Operation;

/// Names of keys that belong to a shard as a whole.
const KNOWN: [&str; 15] = ["V", "F", "L", "P", "T", "e", "w", "l", "n", "s", "G", "gc", "gn", "D", "shards"];
/// And beginnings of such names.
const KNOWN_KINDS: [&str; 7] = ["r:", "mk:", "c:", "W:", "u:", "t:", "turn:"];
/// How long leases of vanished workers are waited for.
const PATIENCE: Duration = Duration::from_secs(3_900);

/// How many workers said lately that they are there.
pub(super) async fn live_workers(queue: &Queue, shards: u16) -> Result<u64, QueueError> {
    let mut most = 0;
    for shard in 0..shards {
        let arguments = vec![heartbeat::LIVE_MS.to_string()];
        let lanes: Vec<(String, String, u64, u64)> =
            queue.call(shard, Operation::Lanes, Resend::Safe, arguments).await?;
        most = lanes.into_iter().map(|(_, _, _, workers)| workers).fold(most, u64::max);
    }
    Ok(most)
}

/// Finds keys that this version would not know how to move.
pub(super) async fn check_keys(queue: &Queue, shards: u16) -> Result<(), ReshardError> {
    for shard in 0..shards {
        let prefix = queue.key(shard, "");
        let mut walk = Walk::over_keys(queue, shard, "");
        while let Some(keys) = walk.next(queue, shard).await? {
            for key in keys {
                let name = String::from_utf8_lossy(&key).into_owned();
                let name = name.strip_prefix(&prefix).unwrap_or(&name);
                if !KNOWN.contains(&name) && !KNOWN_KINDS.iter().any(|kind| name.starts_with(kind)) {
                    return Err(ReshardError::UnknownKey(name.to_owned()));
                }
            }
        }
    }
    Ok(())
}

/// Puts back what vanished workers had, and sweeps what was called off. Then nothing but us changes a frozen queue.
pub(super) async fn settle(queue: &Queue, shards: u16) -> Result<(), ReshardError> {
    let patience = Instant::now() + PATIENCE;
    for shard in 0..shards {
        while queue.sweep(shard, 200).await? > 0 {}
        heal(queue, shard).await?;
        while leases(queue, shard).await? > 0 {
            queue.reap(shard, 2).await?;
            let left = leases(queue, shard).await?;
            if left == 0 {
                break;
            }
            if Instant::now() > patience {
                return Err(ReshardError::JobsRunning { claims: left });
            }
            tracing::info!(
                queue.shard = shard,
                claims = left,
                "waiting for leases of vanished workers to end"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

async fn heal(queue: &Queue, shard: u16) -> Result<(), QueueError> {
    let mut cursor = "0".to_owned();
    loop {
        cursor = queue.heal(shard, &cursor, 50).await?.cursor;
        if cursor == "0" {
            return Ok(());
        }
    }
}

async fn leases(queue: &Queue, shard: u16) -> Result<u64, QueueError> {
    ask(queue, shard, &[b"ZCARD", queue.key(shard, "l").as_bytes()]).await
}
