//! Slots that are kept for newcomers.

use std::time::Duration;

use super::shared::Shared;

/// How long nobody looks for newcomers after the last look.
const LOOK: Duration = Duration::from_micros(500);
/// The longest wait, as a power of two of [`LOOK`], when those that were seen could not be had.
const LONGEST: u32 = 6;

/// A tenant with a long backlog takes every slot that it can get, and whoever comes next waits until one of its jobs
/// ends: minutes, when these are long jobs, and when they are of the same length all end at once, again and again. The
/// last free slots are therefore for tenants that have nothing running.
#[derive(Debug)]
pub(super) struct Reserve {
    size: usize,
    /// How often in a row a newcomer was gone, or could not be served, when its job was fetched.
    missed: u32,
}

impl Reserve {
    pub(super) const fn of(size: usize) -> Self {
        Self { size, missed: 0 }
    }

    /// How many of `free` slots anybody may have.
    pub(super) const fn open(&self, free: usize) -> usize {
        free.saturating_sub(self.size)
    }

    /// What came of fetching a newcomer's job.
    pub(super) fn fetched(&mut self, found: bool) {
        self.missed = if found { 0 } else { (self.missed + 1).min(LONGEST) };
    }

    /// Waits until a newcomer has work, and says in which shard; `None` when there is room for everybody again, or the
    /// worker stops. `held` of the free slots are the caller's.
    pub(super) async fn newcomer(&self, shared: &Shared, held: usize) -> Option<u16> {
        tokio::select! {
            () = shared.stopping.cancelled() => None,
            () = self.room(shared, held) => None,
            shard = self.look(shared) => Some(shard),
        }
    }

    async fn room(&self, shared: &Shared, held: usize) {
        let missing = u32::try_from((self.size + 1).saturating_sub(held)).unwrap_or(u32::MAX);
        drop(shared.slots.acquire_many(missing).await);
    }

    /// Looks now and then: a marker would be taken from workers that have room for everybody.
    async fn look(&self, shared: &Shared) -> u16 {
        loop {
            tokio::time::sleep(LOOK * 2_u32.pow(self.missed)).await;
            for shard in shared.queue.shards() {
                match shared.queue.newcomers(shard, &shared.options.lanes).await {
                    Ok(true) => return shard,
                    Ok(false) => shared.polled(),
                    Err(error) => tracing::debug!(queue.shard = shard, %error, "cannot look for newcomers"),
                }
            }
        }
    }
}
