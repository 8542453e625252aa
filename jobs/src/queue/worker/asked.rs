//! What a worker remembers of its requests to one shard.

use std::time::Duration;

/// The shortest wait.
pub(super) const SHORTEST: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Number of the request that is to be answered next.
    pub(super) attempt: u64,
    /// How often in a row it said "ask again".
    pub(super) again: u32,
    /// How often in a row it did not answer.
    pub(super) failures: u32,
    pub(super) lanes: Vec<u64>,
}

impl Asked {
    /// It said "ask again": when to do so. Usually it says that once or twice, but a damaged index could say so for
    /// ever,
    /// and that must not become a busy loop.
    pub(super) fn ask_again_in(&mut self) -> Duration {
        self.again += 1;
        SHORTEST * 2_u32.pow((self.again - 1).min(8))
    }
}
