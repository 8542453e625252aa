//! Ends of jobs as arguments of the finish function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::charge::{Charges, WorkerTime};
use super::claim::ClaimedJob;
use super::client::Queue;
use super::connection::Resend;
use super::error::QueueError;
use super::finish::{Finish, Verdict};
use super::library::Operation;
use super::{push, record};

/// Most jobs in one call.
const CALL_JOBS: usize = 200;

/// One job that is at its end.
#[derive(Debug, Clone)]
pub struct FinishedJob {
    /// In whose queue it was.
    pub tenant: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The shard it was claimed in.
    pub shard: u16,
    /// The fence it was claimed with.
    pub fence: u64,
    /// What becomes of it.
    pub finish: Finish,
    /// Size of the queue's record of it, for the tenant's quota.
    pub record_bytes: usize,
    /// What it cost; `None` leaves the estimate as it is.
    pub time: Option<WorkerTime>,
}

impl FinishedJob {
    /// The end of a claimed job.
    #[must_use]
    pub fn new(job: &ClaimedJob, fence: u64, finish: impl Into<Finish>) -> Self {
        Self {
            tenant: Arc::clone(&job.tenant),
            id: Arc::clone(&job.id),
            shard: job.shard,
            fence,
            finish: finish.into(),
            record_bytes: job.record.as_ref().map_or(0, Vec::len),
            time: None,
        }
    }

    /// With the worker time it took.
    #[must_use]
    pub fn took(self, job: &ClaimedJob, took: Duration) -> Self {
        Self { time: Some(WorkerTime { charged: job.charged, took }), ..self }
    }

    /// Checks what the scripts take for granted.
    ///
    /// # Errors
    /// When the job leaves too many children behind, or one of another tenant.
    pub fn check(&self) -> Result<(), QueueError> {
        self.finish.check(&self.tenant)
    }

    /// Completed with nothing else to do: the usual case, of which many share one block.
    fn is_plain(&self) -> bool {
        self.finish.verdict == Verdict::Completed
            && self.finish.children.is_empty()
            && self.finish.group.is_none()
    }

    fn push_blocks(&self, arguments: &mut Vec<String>) {
        arguments.push(operation(&self.finish.verdict).to_owned());
        arguments.push(self.fence.to_string());
        arguments.push(self.tenant.to_string());
        match &self.finish.verdict {
            Verdict::Completed => {
                arguments.extend(["1".to_owned(), self.record_bytes.to_string(), self.id.to_string()]);
            }
            Verdict::Discarded { code, reason } | Verdict::Quarantined { code, reason } => {
                arguments.extend([self.id.to_string(), record::reason(code, '\n', reason)]);
            }
            Verdict::Retry { after, error } => {
                arguments.extend([
                    self.id.to_string(),
                    after.as_millis().to_string(),
                    record::reason("retry", ' ', error),
                ]);
            }
            Verdict::Parked { reason } => {
                let jitter_ms: u32 = rand::random_range(0..250);
                arguments.extend([
                    self.id.to_string(),
                    jitter_ms.to_string(),
                    record::reason("parked", ' ', reason),
                ]);
            }
            Verdict::Dropped { .. } | Verdict::Released => arguments.push(self.id.to_string()),
        }
        if self.finish.verdict.is_final() {
            self.push_children(arguments);
        }
    }

    fn push_children(&self, arguments: &mut Vec<String>) {
        if let Some(group) = &self.finish.group {
            push::push_group(group, arguments);
        }
        arguments.extend(push::blocks_of(&self.finish.children));
    }
}

const fn operation(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "c",
        Verdict::Retry { .. } => "r",
        Verdict::Discarded { .. } => "x",
        Verdict::Quarantined { .. } => "q",
        Verdict::Parked { .. } => "p",
        Verdict::Dropped { .. } => "d",
        Verdict::Released => "u",
    }
}

impl Queue {
    /// Ends jobs, with their children. The answer says for each, in order, whether it was applied: `false`
    /// means that the job had been claimed by somebody else or ended before, and that nothing was changed.
    ///
    /// # Errors
    /// When a job fails [`FinishedJob::check`] (nothing is done then), or Redis fails. Finish again then;
    /// what was applied the first time is refused the second.
    pub async fn finish(&self, jobs: &[FinishedJob]) -> Result<Vec<bool>, QueueError> {
        self.finish_charged(jobs, &Charges::of(jobs)).await
    }

    /// As [`Queue::finish`], with other charges than those of the jobs.
    pub(super) async fn finish_charged(
        &self,
        jobs: &[FinishedJob],
        charges: &Charges,
    ) -> Result<Vec<bool>, QueueError> {
        jobs.iter().try_for_each(FinishedJob::check)?;
        let mut applied = vec![true; jobs.len()];
        let mut rest = 0..jobs.len();
        while !rest.is_empty() {
            let call = rest.start..rest.start + call_len(&jobs[rest.clone()]);
            rest.start = call.end;
            let (order, mut arguments) = arguments(&jobs[call.clone()]);
            let shard = jobs[call.start].shard;
            // Once for each shard.
            if jobs[..call.start].iter().all(|job| job.shard != shard) {
                charges.push_to(shard, &mut arguments);
            }
            let refused: Vec<usize> = self.call(shard, Operation::Finish, Resend::Never, arguments).await?;
            for number in refused {
                let index = order.get(number.wrapping_sub(1)).ok_or(QueueError::Answer("finish"))?;
                applied[call.start + index] = false;
            }
        }
        Ok(applied)
    }
}

/// How many of the first jobs go in one call: those of one shard, and not too many.
fn call_len(jobs: &[FinishedJob]) -> usize {
    let mut children = 0;
    let fits = |job: &&FinishedJob| {
        children += job.finish.children.len();
        children <= Finish::MAX_CHILDREN && job.shard == jobs[0].shard
    };
    jobs.iter().take(CALL_JOBS).take_while(fits).count().max(1)
}

/// The arguments, and which job is number 1, 2, ... in them.
fn arguments(jobs: &[FinishedJob]) -> (Vec<usize>, Vec<String>) {
    let (mut order, mut arguments) = (Vec::with_capacity(jobs.len()), Vec::new());
    let mut plain: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        if job.is_plain() {
            plain.entry((job.fence, &job.tenant)).or_default().push(index);
        } else {
            order.push(index);
            job.push_blocks(&mut arguments);
        }
    }
    for ((fence, tenant), indices) in plain {
        let bytes: usize = indices.iter().map(|&index| jobs[index].record_bytes).sum();
        arguments.extend(["c".to_owned(), fence.to_string(), tenant.to_owned(), indices.len().to_string()]);
        arguments.push(bytes.to_string());
        arguments.extend(indices.iter().map(|&index| jobs[index].id.to_string()));
        order.extend(indices);
    }
    (order, arguments)
}
