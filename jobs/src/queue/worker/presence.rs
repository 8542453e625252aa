//! Says at intervals which lanes this worker serves, and notices lanes that nobody serves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::jittered;
use super::shared::Shared;
use crate::error::report;
use crate::queue::error::QueueError;

const PERIOD: Duration = Duration::from_secs(4);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Every how many heartbeats a worker looks for lanes that nobody serves.
const LOOK: u32 = 8;

pub(super) async fn run(shared: Arc<Shared>) {
    let mut unserved = BTreeSet::new();
    for beat in 1.. {
        let wait = match shared.queue.heartbeat(&shared.name, &shared.options.lanes, true).await {
            Ok(()) => PERIOD,
            Err(error) => {
                tracing::warn!(error = report(&error), "cannot tell which lanes are served, trying again");
                AFTER_FAILURE
            }
        };
        if beat % LOOK == 0
            && let Err(error) = look(&shared, &mut unserved).await
        {
            tracing::debug!(error = report(&error), "cannot see which lanes are served");
        }
        tokio::select! {
            () = shared.ending.cancelled() => return,
            () = tokio::time::sleep(jittered(wait)) => {}
        }
    }
}

/// Jobs of a type or version that no live worker declares wait, and are never failed. Somebody has to know.
async fn look(shared: &Shared, unserved: &mut BTreeSet<String>) -> Result<(), QueueError> {
    let lanes = shared.queue.lanes().await?;
    let alone = lanes.into_iter().filter(|lane| lane.ready_tenants > 0 && lane.workers == 0);
    let now: BTreeSet<String> = alone.map(|lane| lane.lane).collect();
    for lane in now.difference(unserved) {
        tracing::warn!(
            job.lane = lane,
            "jobs wait that no live worker declares: deploy a worker that runs them"
        );
    }
    *unserved = now;
    Ok(())
}
