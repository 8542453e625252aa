//! Looks every few seconds which tenants are kept waiting, and by what, and writes down since when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::error::report;
use jobs::queue::{PartitionOverview, PartitionState, Queue};
use jobs::tenant::TenantId;
use stores::Directory;
use stores::activity::{Activity, Held, HeldState};
use tokio_util::sync::CancellationToken;

use crate::limits_sync::KeepError;
use crate::periodic::Pace;

/// How often one of the workers looks.
const ROUND: Duration = Duration::from_secs(8);
const TURN: &str = "held";
/// Tenants of a shard that are looked at, and of which it is written down.
const LOOKED_AT: usize = 5_000;
const WRITTEN: usize = 1_000;
/// Tenants of the catalog that may be held back.
const HELD: u32 = 1_000;

/// Writes down which tenants are kept waiting since when. Of many workers one does it for each shard.
pub(crate) struct HeldWatcher {
    pub(crate) queue: Queue,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) activity: Activity,
    pub(crate) clock: SharedClock,
}

impl HeldWatcher {
    /// Looks until `stop` fires.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(ROUND / 2);
        while pace.next(&stop).await {
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = stop.cancelled() => return,
            };
            if let Err(error) = looked {
                tracing::debug!("it was not looked which tenants wait: {}", report(&error));
            }
        }
    }

    async fn look(&self) -> Result<(), KeepError> {
        let shards = self.queue.turns(TURN, ROUND).await?;
        if shards.is_empty() {
            return Ok(());
        }
        let held = self.directory.tenants_held(HELD).await?;
        for shard in shards {
            let active = self.queue.active_partitions(shard, LOOKED_AT).await?;
            let mut names: BTreeSet<_> = active;
            names.extend(
                held.iter()
                    .filter(|tenant| self.queue.home(tenant) == shard)
                    .map(|tenant| (**tenant).clone()),
            );
            let names: Vec<_> = names.into_iter().collect();
            let found = self.queue.overview(&names).await?;
            let before = self.activity.held(std::iter::once(shard)).await?;
            self.activity.held_put(shard, &held_now(&found, &before, self.clock.now())).await?;
        }
        Ok(())
    }
}

/// The tenants that have jobs which wait, each with what they wait for and since when.
fn held_now(
    found: &[PartitionOverview],
    before: &HashMap<TenantId, Held>,
    now: DateTime<Utc>,
) -> HashMap<TenantId, Held> {
    let mut waiting: Vec<_> = found.iter().filter(|one| one.available + one.parked > 0).collect();
    waiting.sort_by_key(|one| one.oldest_at.unwrap_or(now));
    let held = |one: &PartitionOverview| {
        let state = match one.state {
            PartitionState::Capped => HeldState::Capped,
            PartitionState::Limited => HeldState::Limited,
            PartitionState::Paused => HeldState::Paused,
            PartitionState::Suspended => HeldState::Suspended,
            PartitionState::Ready | PartitionState::Idle => HeldState::Waiting,
        };
        let tenant = TenantId::from(one.partition.clone());
        let since =
            before.get(&tenant).filter(|before| before.state == state).map_or(now, |before| before.since);
        (tenant, Held { state, since })
    };
    waiting.into_iter().take(WRITTEN).map(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview(name: &str, state: PartitionState, available: u64) -> PartitionOverview {
        PartitionOverview {
            partition: (*name.parse::<TenantId>().unwrap()).clone(),
            state,
            is_draining: false,
            active: 1,
            cap: Some(1),
            weight: 1,
            limited_until: None,
            available,
            oldest_at: None,
            scheduled: 0,
            retryable: 0,
            parked: 0,
            discarded: 0,
            quarantined: 0,
            completed_total: 0,
            cancelled_total: 0,
            discarded_total: 0,
        }
    }

    #[test]
    fn a_state_lasts_since_it_was_seen_first() {
        let first: DateTime<Utc> = "2027-01-15T08:00:00Z".parse().unwrap();
        let later = first + Duration::from_secs(60);
        let capped = overview("acme", PartitionState::Capped, 2);
        let before =
            held_now(&[capped.clone(), overview("idle", PartitionState::Ready, 0)], &HashMap::new(), first);
        let acme: TenantId = "acme".parse().unwrap();
        assert_eq!(before, [(acme.clone(), Held { state: HeldState::Capped, since: first })].into());
        assert_eq!(held_now(&[capped], &before, later), before);
        let paused = held_now(&[overview("acme", PartitionState::Paused, 2)], &before, later);
        assert_eq!(paused[&acme], Held { state: HeldState::Paused, since: later });
    }
}
