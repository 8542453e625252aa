//! Cancelling work, and jobs that will not run by themselves: dead letters and quarantine.

use crate::answers::Kept;
use crate::error::QueueError;
use crate::id::PartitionId;
use crate::id::{GroupId, JobId};
use crate::inspect::{PAGE, Select};
use crate::queue::Queue;
use crate::script::Operation;

/// The result of a request to cancel a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and was removed from the queue.
    Now,
    /// It runs. Its handler's token fires within a second; however the handler ends, short of success, the job
    /// is cancelled.
    Stopping,
    /// It is a dead letter or in quarantine: nothing of it will run. [`Queue::purge`] removes it.
    Kept,
    /// The partition has no such job, or it has ended.
    NotFound,
}

/// The result of a request to cancel many jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelReport {
    /// Jobs that waited and have left the queue.
    pub cancelled: u64,
    /// Running jobs that received a stop signal.
    pub stopping: u64,
}

impl Queue {
    /// Cancels a job.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn cancel(&self, partition: &PartitionId, id: JobId) -> Result<Cancelled, QueueError> {
        let answer = self.cancel_ids(partition, &[id]).await?;
        answer.first().copied().ok_or(QueueError::Answer("cancel"))
    }

    /// Cancels jobs; the answer gives the outcome of each, in order.
    ///
    /// # Errors
    /// When Redis fails. Some may be cancelled then.
    pub async fn cancel_ids(
        &self,
        partition: &PartitionId,
        ids: &[JobId],
    ) -> Result<Vec<Cancelled>, QueueError> {
        let outcome = |letter| match letter {
            'c' => Ok(Cancelled::Now),
            'r' => Ok(Cancelled::Stopping),
            'k' => Ok(Cancelled::Kept),
            'n' => Ok(Cancelled::NotFound),
            _ => Err(QueueError::Answer("cancel")),
        };
        self.outcomes(partition, Operation::Cancel, ids, outcome).await
    }

    /// Cancels the partition's open jobs that match `filter`, as of the call. To cancel all of them,
    /// [`Queue::cancel_partition`] is much faster.
    ///
    /// # Errors
    /// When Redis fails. Some of the jobs may be cancelled by then; call it again.
    pub async fn cancel_where<S: Select>(
        &self,
        partition: &PartitionId,
        filter: &S,
    ) -> Result<CancelReport, QueueError> {
        let mut report = CancelReport::default();
        let ids = self.open_where(partition, filter).await?;
        for done in self.cancel_ids(partition, &ids).await? {
            match done {
                Cancelled::Now => report.cancelled += 1,
                Cancelled::Stopping => report.stopping += 1,
                Cancelled::Kept | Cancelled::NotFound => {}
            }
        }
        Ok(report)
    }

    /// Cancels all work of a partition in a constant number of Redis calls. Waiting jobs count as cancelled at once,
    /// running jobs receive a stop signal and are not retried. Dead letters and quarantined jobs stay. Jobs pushed
    /// afterwards run.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn cancel_partition(&self, partition: &PartitionId) -> Result<CancelReport, QueueError> {
        let arguments = vec![partition.to_string()];
        let (cancelled, stopping) = self.call_for(partition, Operation::CancelTenant, arguments).await?;
        Ok(CancelReport { cancelled, stopping })
    }

    /// Cancels a group: its continuation and every member that has not ended. The number of those members;
    /// `None` when there is no such group, because it was closed or never opened.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn cancel_group(
        &self,
        partition: &PartitionId,
        group: GroupId,
    ) -> Result<Option<u64>, QueueError> {
        let arguments = vec![partition.to_string(), group.to_string()];
        let members: i64 = self.call_for(partition, Operation::CancelGroup, arguments).await?;
        Ok(u64::try_from(members).ok())
    }
}

/// The result of a request to redrive a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// It waits for a worker, with all its attempts.
    Started,
    /// Another job has its unique key now; it stays where it is.
    KeyTaken,
    /// It is neither a dead letter nor in quarantine.
    NotFound,
}

impl Queue {
    /// Starts a dead letter or a quarantined job again, with all its attempts. Its stamp is the one it always
    /// had, and is checked again when it runs.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn redrive(&self, partition: &PartitionId, id: JobId) -> Result<Redriven, QueueError> {
        let answer = self.redrive_ids(partition, &[id]).await?;
        answer.first().copied().ok_or(QueueError::Answer("redrive"))
    }

    /// Starts every dead letter, or quarantined job, that matches `filter` again. How many it were.
    ///
    /// # Errors
    /// When Redis fails. Some run again then; redrive again.
    pub async fn redrive_where<S: Select>(
        &self,
        partition: &PartitionId,
        kept: Kept,
        filter: &S,
    ) -> Result<u64, QueueError> {
        let ids = self.kept_where(partition, kept, filter).await?;
        let done = self.redrive_ids(partition, &ids).await?;
        Ok(done.iter().filter(|done| **done == Redriven::Started).count() as u64)
    }

    /// As [`Queue::redrive`], for many; the answer says what became of each, in order.
    ///
    /// # Errors
    /// When Redis fails. Some run again then; redrive again.
    pub async fn redrive_ids(
        &self,
        partition: &PartitionId,
        ids: &[JobId],
    ) -> Result<Vec<Redriven>, QueueError> {
        let outcome = |letter| match letter {
            'o' => Ok(Redriven::Started),
            'u' => Ok(Redriven::KeyTaken),
            'n' => Ok(Redriven::NotFound),
            _ => Err(QueueError::Answer("redrive")),
        };
        self.outcomes(partition, Operation::Redrive, ids, outcome).await
    }

    /// Runs `operation` on jobs of one partition, a bounded number a call. It answers one letter for each job.
    async fn outcomes<T>(
        &self,
        partition: &PartitionId,
        operation: Operation,
        ids: &[JobId],
        outcome: impl Fn(char) -> Result<T, QueueError>,
    ) -> Result<Vec<T>, QueueError> {
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let letters: String = self.call_for(partition, operation, arguments(partition, ids)).await?;
            for letter in letters.chars() {
                done.push(outcome(letter)?);
            }
        }
        Ok(done)
    }

    /// Throws a dead letter or a quarantined job away. `false` when it is neither.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn purge(&self, partition: &PartitionId, id: JobId) -> Result<bool, QueueError> {
        Ok(self.purge_ids(partition, &[id]).await? == 1)
    }

    /// Deletes every dead letter or quarantined job that matches `filter`. Returns how many were deleted.
    ///
    /// # Errors
    /// When Redis fails. Some may be deleted by then; call it again.
    pub async fn purge_where<S: Select>(
        &self,
        partition: &PartitionId,
        kept: Kept,
        filter: &S,
    ) -> Result<u64, QueueError> {
        let ids = self.kept_where(partition, kept, filter).await?;
        self.purge_ids(partition, &ids).await
    }

    async fn purge_ids(&self, partition: &PartitionId, ids: &[JobId]) -> Result<u64, QueueError> {
        let mut purged = 0;
        for ids in ids.chunks(PAGE) {
            purged += self.call_for::<u64>(partition, Operation::Purge, arguments(partition, ids)).await?;
        }
        Ok(purged)
    }
}

fn arguments(partition: &PartitionId, ids: &[JobId]) -> Vec<String> {
    std::iter::once(partition.to_string()).chain(ids.iter().map(JobId::to_string)).collect()
}
