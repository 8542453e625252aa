//! Which types and versions of jobs there are, and who runs them.

use std::collections::BTreeMap;

use super::client::Queue;
use super::error::QueueError;
use super::heartbeat;
use super::library::Operation;

/// The jobs of one type and payload version, over all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatus {
    /// Type and version, such as `document.ingest@1`.
    pub lane: String,
    /// The Open Job Spec queue that its jobs wait in.
    pub queue: String,
    /// Tenants that have such jobs and may run now. Those at their caps, or paused, are not among them.
    pub ready_tenants: u64,
    /// Live workers that run them. With 0, such jobs wait for a worker that does: nothing is lost, but somebody
    /// should look.
    pub workers: u64,
}

impl Queue {
    /// The lanes that this queue has ever seen.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn lanes(&self) -> Result<Vec<LaneStatus>, QueueError> {
        let arguments = vec![heartbeat::LIVE_MS.to_string()];
        let shards: Vec<Vec<(String, String, u64, u64)>> =
            self.call_all(Operation::Lanes, &arguments).await?;
        let mut lanes: BTreeMap<String, LaneStatus> = BTreeMap::new();
        for (lane, queue, ready_tenants, workers) in shards.into_iter().flatten() {
            let known = lanes.entry(lane.clone());
            let status = known.or_insert(LaneStatus { lane, queue, ready_tenants: 0, workers: 0 });
            status.ready_tenants += ready_tenants;
            // A worker tells every shard.
            status.workers = status.workers.max(workers);
        }
        Ok(lanes.into_values().collect())
    }
}
