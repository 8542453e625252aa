//! Background tasks beside the feeder: renew leases, reap those of vanished workers, send this worker's heartbeat, and
//! stop jobs that were cancelled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use redis::Cmd;

use crate::claim::Reaped;
use crate::describe::report;
use crate::encode;
use crate::error::QueueError;
use crate::redis::Resend;
use crate::worker::claims::ClaimId;
use crate::worker::worker_queue::{Shared, jittered};

/// Most claims in one call.
const RENEW_CLAIMS: usize = 500;

/// Renews every claim at a third of its lease, sooner after a failure.
pub(super) async fn renew_at_intervals(shared: Arc<Shared>) {
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

/// All shards concurrently: one that cannot be reached must not delay the renewal in the others.
async fn renew(shared: &Shared, lease: Duration) -> bool {
    let shards = shared.queue.shards().map(|shard| renew_shard(shared, shard, lease));
    join_all(shards).await.into_iter().all(|renewed| renewed)
}

async fn renew_shard(shared: &Shared, shard: u16, lease: Duration) -> bool {
    let mut charges = shared.claims.take_uncharged_us(shard);
    for fences in shared.claims.fences(shard).chunks(RENEW_CLAIMS) {
        // Redis extends the lease when it runs the call, so counting from before the call never believes in a lease
        // for longer than Redis does, however late the answer is.
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

/// Stops the jobs of claims that could not be confirmed in time, before their leases end: afterwards another worker
/// may run the same jobs.
pub(super) async fn watch_leases(shared: Arc<Shared>) {
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

/// Most claims in one call, because a script has to end soon.
const REAP_CLAIMS: u32 = 2;
/// Most jobs that are swept in one call.
const SWEEP_JOBS: u32 = 200;
/// How many partitions are repaired in one call, and how many calls are made at a time.
const HEAL_PARTITIONS: u32 = 50;
const HEAL_CALLS: usize = 10;
/// Most calls in a row.
const REAP_CALLS: usize = 50;

/// Cursors of the repair of a shard's partitions.
struct Place {
    /// Cursor over partitions that have rows.
    rows: String,
    /// Cursor over all keys, to find partitions whose row was deleted.
    keys: String,
}

pub(super) async fn reap_at_intervals(shared: Arc<Shared>) {
    let start = || Place { rows: "0".to_owned(), keys: "0".to_owned() };
    let mut places: Vec<Place> = shared.queue.shards().map(|_| start()).collect();
    let period = (shared.queue.config().lease / 6).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(period)) => {}
        }
        let shards = places.iter_mut().zip(0..);
        join_all(shards.map(|(place, shard)| look_after(&shared, shard, place))).await;
    }
}

async fn look_after(shared: &Shared, shard: u16, place: &mut Place) {
    let swept =
        sweep(shared, shard).await.map_err(|error| ("cannot look for lost claims, trying again", error));
    let removed = remove(shared, shard).await.map_err(|error| ("cannot remove what was cancelled", error));
    let healed = heal(shared, shard, place).await.map_err(|error| ("cannot tidy up, trying again", error));
    for (what, error) in [swept, removed, healed].into_iter().filter_map(Result::err) {
        tracing::warn!(queue.shard = shard, error = report(&error), "{what}");
    }
}

async fn sweep(shared: &Shared, shard: u16) -> Result<(), QueueError> {
    for _ in 0..REAP_CALLS {
        let reaped = shared.queue.reap(shard, REAP_CLAIMS).await?;
        if reaped.claims > 0 {
            let Reaped { claims, returned, quarantined } = &reaped;
            let taken_back = (returned + quarantined.len()) as u64;
            shared.taken_back.fetch_add(taken_back, Ordering::Relaxed);
            tracing::warn!(
                claims,
                returned,
                quarantined = quarantined.len(),
                "took back the jobs of lost claims"
            );
        }
        announce(shared, shard, &reaped.quarantined).await?;
        if reaped.claims < REAP_CLAIMS as usize {
            break;
        }
    }
    Ok(())
}

/// Removes the batches that cancelled partitions left behind.
async fn remove(shared: &Shared, shard: u16) -> Result<(), QueueError> {
    for _ in 0..REAP_CALLS {
        if shared.queue.sweep(shard, SWEEP_JOBS).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Repairs the state of a page of partitions, see `Queue::heal`.
async fn heal(shared: &Shared, shard: u16, place: &mut Place) -> Result<(), QueueError> {
    let (keys, mut names) = shared.queue.partitions_with_keys(shard, &place.keys).await?;
    place.keys = keys;
    for _ in 0..HEAL_CALLS {
        let healed = shared.queue.heal_with(shard, &place.rows, HEAL_PARTITIONS, &names).await?;
        shared.queue.report(&healed);
        names.clear();
        place.rows = healed.cursor;
        if place.rows == "0" {
            break;
        }
    }
    Ok(())
}

async fn announce(shared: &Shared, shard: u16, quarantined: &[(String, String)]) -> Result<(), QueueError> {
    let ids: Vec<String> = quarantined.iter().map(|(_, id)| id.clone()).collect();
    let records = shared.queue.records(shard, &ids).await?;
    for ((partition, id), record) in quarantined.iter().zip(records) {
        let read = record.as_deref().and_then(encode::parse);
        let code = if read.is_some() { "worker_died" } else { "record_damaged" };
        shared.report_quarantined(
            partition,
            id,
            read.map(|record| Bytes::copy_from_slice(record.payload)),
            code,
        );
    }
    Ok(())
}

const HEARTBEAT: Duration = Duration::from_secs(4);
const HEARTBEAT_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A worker looks for skills without a worker once in this many heartbeats.
const HEARTBEATS_PER_LOOK: u32 = 8;

pub(super) async fn declare_at_intervals(shared: Arc<Shared>) {
    let mut unserved = BTreeSet::new();
    for beat in 1.. {
        let wait = match shared.queue.heartbeat(&shared.name, &shared.options.skills, true).await {
            Ok(()) => HEARTBEAT,
            Err(error) => {
                tracing::warn!(error = report(&error), "cannot tell which skills are served, trying again");
                HEARTBEAT_AFTER_FAILURE
            }
        };
        if beat % HEARTBEATS_PER_LOOK == 0
            && let Err(error) = look_for_unserved(&shared, &mut unserved).await
        {
            tracing::debug!(error = report(&error), "cannot see which skills are served");
        }
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(wait)) => {}
        }
    }
}

/// Warns of skills that no live worker declares. Their jobs wait and are never failed, so only this warning tells the
/// operator.
async fn look_for_unserved(shared: &Shared, unserved: &mut BTreeSet<String>) -> Result<(), QueueError> {
    let skills = shared.queue.skills().await?;
    let alone = skills.into_iter().filter(|skill| skill.ready_partitions > 0 && skill.workers == 0);
    let now: BTreeSet<String> = alone.map(|skill| skill.skill).collect();
    for skill in now.difference(unserved) {
        tracing::warn!(
            job.skill = skill,
            "jobs wait that no live worker declares: deploy a worker that runs them"
        );
    }
    *unserved = now;
    Ok(())
}

/// How often a worker that runs something looks. A poll, because a message can get lost.
const CANCELLED_LOOK: Duration = Duration::from_millis(400);
/// Most requests that are read at once. They leave when the jobs end.
const CANCEL_REQUESTS: isize = 1_000;
/// A job that still runs this long after its stop signal counts as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);

pub(super) async fn stop_cancelled(shared: Arc<Shared>) {
    let mut stuck_before = 0;
    loop {
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(CANCELLED_LOOK)) => {}
        }
        if !shared.claims.is_empty() {
            join_all(shared.queue.shards().map(|shard| look_for_cancelled(&shared, shard))).await;
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

async fn look_for_cancelled(shared: &Shared, shard: u16) {
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
    command.arg("ZREVRANGE").arg(shared.queue.key(shard, "s")).arg(0).arg(CANCEL_REQUESTS);
    let requests: Vec<Vec<u8>> = shared.queue.servers().query(shard, &command, Resend::Safe).await?;
    let claim = |fence: &str| ClaimId { shard, fence: fence.parse().unwrap_or(0) };
    for request in requests {
        // A damaged entry must not hide the others.
        let Ok(request) = String::from_utf8(request) else { continue };
        let mut words = request.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("*"), Some(partition), Some(fence)) => {
                shared.claims.call_off_partition(partition, claim(fence));
            }
            (Some(fence), Some(id), None) => shared.claims.call_off(claim(fence), id),
            _ => {}
        }
    }
    Ok(())
}
