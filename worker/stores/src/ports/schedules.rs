use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::Limits;

use super::StoreResult;
use crate::model::{DueSchedule, Firing};

/// Reads which schedules of any tenant are due, and moves one on when it has fired.
#[async_trait::async_trait]
pub trait DueSchedules: Send + Sync {
    /// Schedules whose time has come, earliest first. At most `limit`.
    async fn schedules_due(&self, now: DateTime<Utc>, limit: u32) -> StoreResult<Vec<DueSchedule>>;

    /// Puts `job` into the tenant's outbox, counts it for the day, and moves the schedule to `next`, in one
    /// transaction,
    /// if it still waits for `due.fire_at`: of many workers that see the same due schedule, one fires it. Where
    /// `limits` stand against one more job today, the schedule moves on without it.
    async fn schedule_fire(
        &self,
        due: &DueSchedule,
        (job, limits): (&StampedJob, &Limits),
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Firing>;

    /// Moves a schedule whose template was refused on to `next` without firing, under the same condition.
    async fn schedule_skip(&self, due: &DueSchedule, next: DateTime<Utc>) -> StoreResult<bool>;
}
