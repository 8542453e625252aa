use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;

use super::StoreResult;
use crate::model::DueSchedule;

/// Reads which schedules of any tenant are due, and moves one on when it has fired.
#[async_trait::async_trait]
pub trait DueSchedules: Send + Sync {
    /// Schedules whose time has come, earliest first. At most `limit`.
    async fn schedules_due(&self, now: DateTime<Utc>, limit: u32) -> StoreResult<Vec<DueSchedule>>;

    /// Puts `job` into the tenant's outbox and moves the schedule to `next`, in one transaction, if it still
    /// waits for `due.fire_at`. Returns whether it did: of many workers that see the same due schedule, one
    /// gets `true`.
    async fn schedule_fire(
        &self,
        due: &DueSchedule,
        job: &StampedJob,
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<bool>;

    /// Moves a schedule whose template was refused on to `next` without firing, under the same condition.
    async fn schedule_skip(&self, due: &DueSchedule, next: DateTime<Utc>) -> StoreResult<bool>;
}
