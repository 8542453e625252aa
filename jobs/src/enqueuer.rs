//! Enqueueing for programs that do not run jobs themselves.

use crate::envelope::{EnqueueOptions, StampError, StampedJob, Stamper};
use crate::id::JobId;
use crate::job::Job;
use crate::queue::{PushOutcome, Queue, QueueError};
use crate::tenant::TenantContext;

/// Stamps jobs for a tenant and pushes them. A web process needs no more than this; clones share one
/// connection.
///
/// ```no_run
/// # async fn example(
/// #     queue: jobs::queue::Queue,
/// #     stamper: jobs::envelope::Stamper,
/// #     ann_of_acme: jobs::tenant::TenantContext,
/// #     reindex: jobs::types::ReindexKb,
/// # ) -> Result<(), jobs::EnqueueError> {
/// let enqueuer = jobs::Enqueuer::new(stamper, queue);
/// let id = enqueuer.enqueue(&ann_of_acme, &reindex).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Enqueuer {
    stamper: Stamper,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    Redis(Queue),
    #[cfg(feature = "test-support")]
    Memory(crate::queue::MemoryQueue),
}

/// A job was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The tenant may not have this job.
    #[error("the job was not stamped")]
    Stamp(#[from] StampError),
    /// The queue did not take it, or did not say so. Enqueue again under the same [`EnqueueOptions::id`]
    /// then: the queue keeps one.
    #[error("the queue did not take the job")]
    Queue(#[from] QueueError),
}

impl Enqueuer {
    /// Stamps jobs with `stamper` and pushes them to `queue`.
    #[must_use]
    pub const fn new(stamper: Stamper, queue: Queue) -> Self {
        Self { stamper, target: Target::Redis(queue) }
    }

    /// Pushes to a queue in memory, for tests of code that enqueues.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub const fn for_tests(stamper: Stamper, queue: crate::queue::MemoryQueue) -> Self {
        Self { stamper, target: Target::Memory(queue) }
    }

    /// Enqueues a job for the tenant of `context`, due at once. Returns its id.
    ///
    /// # Errors
    /// When the actor lacks the permission that the job requires, or the queue does not answer.
    pub async fn enqueue<J: Job>(&self, context: &TenantContext, job: &J) -> Result<JobId, EnqueueError> {
        self.enqueue_with(context, job, EnqueueOptions::default()).await
    }

    /// The same for a job that differs from the usual of its type: later, more urgent, under an id of the
    /// caller's.
    ///
    /// # Errors
    /// As for [`Enqueuer::enqueue`].
    pub async fn enqueue_with<J: Job>(
        &self,
        context: &TenantContext,
        job: &J,
        options: EnqueueOptions,
    ) -> Result<JobId, EnqueueError> {
        let stamped = self.stamper.stamp(context, job, options)?;
        self.push(std::slice::from_ref(&stamped)).await?;
        Ok(stamped.id())
    }

    /// Enqueues many jobs of one type in few calls. Returns their ids in the same order.
    ///
    /// # Errors
    /// As for [`Enqueuer::enqueue`]; when the queue fails, some may be in it.
    pub async fn enqueue_all<J: Job>(
        &self,
        context: &TenantContext,
        jobs: &[J],
    ) -> Result<Vec<JobId>, EnqueueError> {
        let stamp = |job| self.stamper.stamp(context, job, EnqueueOptions::default());
        let stamped: Vec<StampedJob> = jobs.iter().map(stamp).collect::<Result<_, _>>()?;
        self.push(&stamped).await?;
        Ok(stamped.iter().map(StampedJob::id).collect())
    }

    async fn push(&self, jobs: &[StampedJob]) -> Result<PushOutcome, QueueError> {
        match &self.target {
            Target::Redis(queue) => queue.push(jobs).await,
            #[cfg(feature = "test-support")]
            Target::Memory(queue) => queue.push(jobs),
        }
    }
}
