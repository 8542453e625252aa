//! Workers saying which lanes they serve, so that a job nobody can run is seen as such.

use super::client::Queue;
use super::error::QueueError;
use super::lane::Lane;
use super::library::Operation;

/// A worker that was silent for this long does not count.
pub(super) const LIVE_MS: u64 = 15_000;

impl Queue {
    /// Says in every shard that `worker` serves `lanes`, or, without `stay`, that it does no more.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn heartbeat(&self, worker: &str, lanes: &[Lane], stay: bool) -> Result<(), QueueError> {
        let mut arguments = vec![worker.to_owned(), LIVE_MS.to_string(), u8::from(stay).to_string()];
        arguments.extend(lanes.iter().flat_map(|lane| [lane.to_string(), lane.queue().to_owned()]));
        self.call_all::<Vec<u64>>(Operation::Heartbeat, &arguments).await.map(drop)
    }
}
