//! Bringing jobs into the queue.

use std::borrow::Borrow;

use futures::future::join_all;

use crate::answers::{ConflictDone, PushOutcome, UniqueConflict};
use crate::encode;
use crate::encode::Arguments;
use crate::error::QueueError;
use crate::finish::{Finish, OnFailure, OpenGroup};
use crate::job::NewJob;
use crate::limits::LimitReached;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// Whether the limits of the partitions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    Hold,
    /// The work was accepted before, and a promise was given.
    Waived,
}

/// The result of one call.
#[derive(Debug)]
pub(super) struct Pushed {
    accepted: usize,
    conflicts: Vec<String>,
    /// Partition, limit, current, maximum, time to wait: each refused partition with all its jobs.
    pub(super) refused: Vec<String>,
    /// Ids of jobs without a unique key that are in the queue already, or whose cancellation it remembers.
    pub(super) left_out: Vec<String>,
}

impl Pushed {
    /// The result for a caller that pushed all `count` jobs of the call.
    pub(super) fn outcome(&self, count: usize) -> Result<PushOutcome, QueueError> {
        if !self.refused.is_empty() {
            return Err(QueueError::LimitReached(LimitReached::read(&self.refused)?));
        }
        Ok(PushOutcome {
            accepted: self.accepted,
            duplicates: count.saturating_sub(self.accepted),
            conflicts: read_conflicts(&self.conflicts)?,
        })
    }
}

impl Queue {
    /// Adds jobs. A job whose id is in the queue already, waiting, running or dead, is left as it is, so a
    /// caller that got no answer may push again. Single jobs that many tasks push at the same time share calls.
    ///
    /// # Errors
    /// [`QueueError::LimitReached`] when a partition may not add that much: of up to 200 jobs, none of that partition
    /// is enqueued then, while those of other partitions are. Otherwise when Redis fails; some of the jobs may be in
    /// the queue then.
    pub async fn push<J: Borrow<NewJob> + Sync>(&self, jobs: &[J]) -> Result<PushOutcome, QueueError> {
        if let [job] = jobs {
            let job: &NewJob = job.borrow();
            // A unique job's conflict is reported by the call, not by its id in `left_out`.
            if job.unique.is_none() {
                return self.push_in_line(job).await;
            }
        }
        self.push_limited(jobs, Limits::Hold).await
    }

    /// Adds jobs that were accepted before, without checking the current limits of their partitions: those of an
    /// outbox, whose callers were promised that they will run.
    ///
    /// # Errors
    /// When Redis fails. Some of the jobs may be in the queue then.
    pub async fn push_accepted<J: Borrow<NewJob> + Sync>(
        &self,
        jobs: &[J],
    ) -> Result<PushOutcome, QueueError> {
        self.push_limited(jobs, Limits::Waived).await
    }

    /// Adds a group: `members` that carry its id, and the job that runs when the last of them has ended.
    ///
    /// # Errors
    /// When members are of another partition than the continuation or too many; else as for [`Queue::push`].
    pub async fn push_group<J: Borrow<NewJob> + Sync>(
        &self,
        group: &OpenGroup,
        members: &[J],
    ) -> Result<PushOutcome, QueueError> {
        if members.len() > Finish::MAX_CHILDREN {
            return Err(QueueError::TooManyChildren { count: members.len() });
        }
        let of = |member: &J| -> bool {
            let member: &NewJob = member.borrow();
            member.partition == group.continuation.partition
        };
        if !members.iter().all(of) {
            return Err(QueueError::ForeignChild);
        }
        let mut blocks = Vec::new();
        encode::push_group(group, &mut blocks);
        blocks.extend(encode::blocks_of(members));
        let home = self.home(&group.continuation.partition);
        self.enqueue(home, blocks, Limits::Hold).await?.outcome(members.len())
    }

    /// Adds jobs that run one after the other: when one fails for good or is cancelled, the rest is cancelled. Each
    /// but the last has to be a member of [`GroupId::after`](crate::GroupId::after) itself, for which the next one
    /// waits.
    ///
    /// # Errors
    /// As for [`Queue::push`].
    pub async fn push_chain<J: Borrow<NewJob> + Sync>(&self, jobs: &[J]) -> Result<PushOutcome, QueueError> {
        let Some((first, rest)) = jobs.split_first() else { return Ok(PushOutcome::default()) };
        let mut blocks = Vec::new();
        // From the end, because a group is there before its member is named.
        for (job, next) in jobs.iter().zip(rest).rev() {
            let (job, next): (&NewJob, &NewJob) = (job.borrow(), next.borrow());
            let Some(id) = job.group else { continue };
            let group = OpenGroup { id, continuation: next.clone(), on_failure: OnFailure::Cancel };
            encode::push_group(&group, &mut blocks);
        }
        let first: &NewJob = first.borrow();
        blocks.extend(encode::blocks_of(std::slice::from_ref(first)));
        self.enqueue(self.home(&first.partition), blocks, Limits::Hold).await?.outcome(1)
    }

    async fn push_limited<J: Borrow<NewJob> + Sync>(
        &self,
        jobs: &[J],
        limits: Limits,
    ) -> Result<PushOutcome, QueueError> {
        if self.shards().len() == 1 {
            return self.push_to(0, jobs, limits).await;
        }
        let parts = encode::by_shard(jobs, self.layout());
        let pushes = parts.iter().map(|(shard, jobs)| self.push_to(*shard, jobs, limits));
        together(join_all(pushes).await)
    }

    /// Call after call, so that each partition's jobs stay in order.
    async fn push_to<J: Borrow<NewJob> + Sync>(
        &self,
        shard: u16,
        jobs: &[J],
        limits: Limits,
    ) -> Result<PushOutcome, QueueError> {
        let mut outcomes = Vec::new();
        for (blocks, count) in encode::calls(jobs) {
            match self.enqueue(shard, blocks, limits).await.and_then(|pushed| pushed.outcome(count)) {
                Err(error) if !matches!(error, QueueError::LimitReached(_)) => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        together(outcomes)
    }

    pub(super) async fn enqueue(
        &self,
        shard: u16,
        blocks: Arguments,
        limits: Limits,
    ) -> Result<Pushed, QueueError> {
        self.refuse_eviction()?;
        let mut arguments = vec![u8::from(limits == Limits::Hold).to_string().into_bytes()];
        arguments.extend(blocks);
        let (accepted, conflicts, refused, left_out) =
            self.call(shard, Operation::Enqueue, Resend::Safe, arguments).await?;
        Ok(Pushed { accepted, conflicts, refused, left_out })
    }
}

/// One outcome of many. Limits that were reached count only when nothing worse happened.
fn together(outcomes: Vec<Result<PushOutcome, QueueError>>) -> Result<PushOutcome, QueueError> {
    let (mut whole, mut refused) = (PushOutcome::default(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(part) => {
                whole.accepted += part.accepted;
                whole.duplicates += part.duplicates;
                whole.conflicts.extend(part.conflicts);
            }
            Err(QueueError::LimitReached(limits)) => refused.extend(limits),
            Err(error) => return Err(error),
        }
    }
    if refused.is_empty() { Ok(whole) } else { Err(QueueError::LimitReached(refused)) }
}

fn read_conflicts(conflicts: &[String]) -> Result<Vec<UniqueConflict>, QueueError> {
    let read = |entry: &[String]| {
        Some(UniqueConflict {
            id: entry[0].parse().ok()?,
            existing: entry[1].parse().ok()?,
            done: ConflictDone::from_name(&entry[2])?,
        })
    };
    conflicts.chunks_exact(3).map(read).collect::<Option<_>>().ok_or(QueueError::Answer("enqueue"))
}
