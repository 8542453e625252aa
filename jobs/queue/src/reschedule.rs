//! Another time for a job that waits for one.

use chrono::{DateTime, Utc};

use crate::error::QueueError;
use crate::id::{JobId, PartitionId};
use crate::queue::Queue;
use crate::script::Operation;

/// The result of a request to reschedule a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescheduled {
    /// It waits until the given time.
    Moved,
    /// It waits for no time: for a worker or its partition, or it runs, or it is a dead letter or in quarantine.
    NotScheduled,
    /// The partition has no such job, or it has ended.
    NotFound,
}

impl Queue {
    /// Gives a scheduled job, or one that waits for its next attempt, another time. A time that has passed is now: a
    /// free worker starts it within two seconds. Attempts, place in a group and unique key stay as they are.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn reschedule(
        &self,
        partition: &PartitionId,
        id: JobId,
        at: DateTime<Utc>,
    ) -> Result<Rescheduled, QueueError> {
        let due_ms = at.timestamp_millis().max(0);
        let arguments = vec![partition.to_string(), due_ms.to_string(), id.to_string()];
        let letter: String = self.call_for(partition, Operation::Reschedule, arguments).await?;
        match letter.as_str() {
            "o" => Ok(Rescheduled::Moved),
            "w" => Ok(Rescheduled::NotScheduled),
            "n" => Ok(Rescheduled::NotFound),
            _ => Err(QueueError::Answer("reschedule")),
        }
    }
}
