use std::sync::Arc;
use std::time::Duration;

use jobs::clock::SharedClock;
use moka::sync::Cache;
use stores::{Identities, StoreError};
use uuid::Uuid;

/// Whether sessions go on, asked once in a while for each.
#[derive(Clone)]
pub struct Sessions {
    identities: Arc<Identities>,
    clock: SharedClock,
    live: Cache<Uuid, bool>,
}

impl Sessions {
    /// How long an answer is believed: a session that ended in another process is believed no longer.
    const BELIEVED: Duration = Duration::from_secs(2);
    const REMEMBERED: u64 = 100_000;

    /// The sessions that `identities` knows.
    #[must_use]
    pub fn new(identities: Arc<Identities>, clock: SharedClock) -> Self {
        let live = Cache::builder().max_capacity(Self::REMEMBERED).time_to_live(Self::BELIEVED).build();
        Self { identities, clock, live }
    }

    /// Whether a session goes on.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn is_live(&self, id: Uuid) -> Result<bool, StoreError> {
        if let Some(live) = self.live.get(&id) {
            return Ok(live);
        }
        let live = self.identities.session_is_live(id, self.clock.now()).await?;
        self.live.insert(id, live);
        Ok(live)
    }

    /// Notes that any session may have ended.
    pub fn forget_all(&self) {
        self.live.invalidate_all();
    }

    /// Notes that a session has ended.
    pub fn forget(&self, id: Uuid) {
        self.live.insert(id, false);
    }
}
