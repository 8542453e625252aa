//! Whether jobs that somebody asks for would be taken.

use std::collections::BTreeMap;

use super::client::Queue;
use super::error::QueueError;
use super::record;
use crate::envelope::StampedJob;
use crate::tenant::TenantId;

/// What is to be added to one queue of one tenant.
#[derive(Default)]
struct Wanted {
    jobs: usize,
    size_bytes: usize,
    scheduled: usize,
}

impl Queue {
    /// Whether [`Queue::push`] would take these jobs now. Nothing is reserved: of several that ask at once, all may
    /// be told that there is room.
    ///
    /// # Errors
    /// [`QueueError::LimitReached`] with the limit; otherwise when Redis fails.
    pub async fn room_for(&self, jobs: &[StampedJob]) -> Result<(), QueueError> {
        let mut wanted: BTreeMap<(&TenantId, &str), Wanted> = BTreeMap::new();
        for job in jobs {
            let wanted = wanted.entry((&job.tenant, &job.queue)).or_default();
            wanted.jobs += 1;
            wanted.size_bytes += record::fresh(job).len();
            wanted.scheduled += usize::from(job.due.is_some());
        }
        for ((tenant, queue), Wanted { jobs, size_bytes, scheduled }) in wanted {
            self.room(tenant, queue, jobs, size_bytes, scheduled).await?;
        }
        Ok(())
    }
}
