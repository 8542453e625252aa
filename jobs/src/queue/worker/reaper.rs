//! Looks for claims of workers that vanished, anybody's.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;
use crate::queue::claim::Reaped;
use crate::queue::error::QueueError;
use crate::queue::record;

/// Most claims in one call, because a script has to end soon.
const CALL_CLAIMS: u32 = 2;
/// Most jobs that are swept in one call.
const SWEEP_JOBS: u32 = 200;
/// How many tenants are looked at in one call, and how many calls are made at a time.
const HEAL_TENANTS: u32 = 50;
const HEAL_CALLS: usize = 10;
/// Most calls in a row.
const CALLS: usize = 50;

/// How far the look at a shard's tenants has come.
struct Place {
    /// Of those that have rows.
    rows: String,
    /// Of all keys, for those whose row was deleted.
    keys: String,
}

pub(super) async fn run(shared: Arc<Shared>) {
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
    for _ in 0..CALLS {
        let reaped = shared.queue.reap(shard, CALL_CLAIMS).await?;
        if reaped.claims > 0 {
            let Reaped { claims, returned, quarantined } = &reaped;
            tracing::warn!(
                claims,
                returned,
                quarantined = quarantined.len(),
                "took back the jobs of lost claims"
            );
        }
        announce(shared, shard, &reaped.quarantined).await?;
        if reaped.claims < CALL_CLAIMS as usize {
            break;
        }
    }
    Ok(())
}

/// Removes the batches that cancelled tenants left behind.
async fn remove(shared: &Shared, shard: u16) -> Result<(), QueueError> {
    for _ in 0..CALLS {
        if shared.queue.sweep(shard, SWEEP_JOBS).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Compares what is kept of some tenants with what there is.
async fn heal(shared: &Shared, shard: u16, place: &mut Place) -> Result<(), QueueError> {
    let (keys, mut names) = shared.queue.tenants_with_keys(shard, &place.keys).await?;
    place.keys = keys;
    for _ in 0..HEAL_CALLS {
        let healed = shared.queue.heal_with(shard, &place.rows, HEAL_TENANTS, &names).await?;
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
    for ((tenant, id), record) in quarantined.iter().zip(records) {
        let read = record.as_deref().and_then(record::parse);
        let code = if read.is_some() { "worker_died" } else { "record_damaged" };
        shared.report_quarantined(tenant, id, read.map(|record| record.wire.to_owned()), code);
    }
    Ok(())
}
