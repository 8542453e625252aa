//! How a job ends and which children it enqueues, as arguments of the finish function, and what partitions pay for it:
//! worker time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::claim::ClaimedJob;
use crate::encode::{self, Arguments, add_texts, reason_line};
use crate::error::QueueError;
use crate::id::GroupId;
use crate::job::NewJob;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// Most jobs in one call.
const CALL_JOBS: usize = 200;

/// The code of the reason of a job that ended with [`Verdict::Waiting`].
pub(crate) const WAITS: &str = "waits";

/// The end of a job that ran, or that was refused before it could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Success. The job is removed from the queue.
    Completed,
    /// The handler failed; try again.
    Retry {
        /// How long to wait first.
        after: Duration,
        /// The error, for people.
        error: String,
    },
    /// A service that the job needs is busy or away. The job comes back after that time, no attempt is counted, and its
    /// partition goes on with other jobs.
    Waiting {
        /// How long to wait.
        after: Duration,
        /// For what, for people.
        reason: String,
    },
    /// The handler failed permanently: the job becomes a dead letter.
    Discarded {
        /// Stable code, `snake_case`.
        code: &'static str,
        /// The reason, for people.
        reason: String,
    },
    /// The job must never run: forged, damaged, or it killed its workers.
    Quarantined {
        /// Stable code, `snake_case`.
        code: &'static str,
        /// Why, for people.
        reason: String,
    },
    /// The job's partition may not run now. The job comes back by itself, no attempt is counted.
    Parked {
        /// Why, for people.
        reason: String,
    },
    /// The job is not needed any more. It is removed from the queue as cancelled.
    Dropped {
        /// Why, for people.
        reason: String,
    },
    /// Returned to the queue at a shutdown: it is the next to run, and no attempt is counted.
    Released,
}

impl Verdict {
    /// Whether the job will not run again by itself, so that its group no longer waits for it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Completed | Self::Discarded { .. } | Self::Quarantined { .. } | Self::Dropped { .. } => {
                true
            }
            Self::Retry { .. } | Self::Waiting { .. } | Self::Parked { .. } | Self::Released => false,
        }
    }
}

/// A group that a job opens as it finishes: when every child that carries its id has reached a final state,
/// the continuation is enqueued, exactly once.
#[derive(Debug, Clone)]
pub struct OpenGroup {
    /// The id that the children carry.
    pub id: GroupId,
    /// The job that runs when they are done.
    pub continuation: NewJob,
    /// How a member's permanent failure affects the others.
    pub on_failure: OnFailure,
}

/// What happens to a group when a member is discarded, quarantined or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The others go on, and the continuation runs when all have ended.
    #[default]
    Continue,
    /// The others are cancelled, and so is the continuation.
    Cancel,
}

/// What a handler returns: the verdict, and the jobs to enqueue in the same step. If the finish comes too
/// late, because the claim was lost, nothing of it happens.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The end of the job.
    pub verdict: Verdict,
    /// Jobs of the same partition to enqueue.
    pub children: Vec<NewJob>,
    /// The group whose members are those of `children` that carry its id.
    pub group: Option<OpenGroup>,
}

impl Finish {
    /// The most children that one job may leave behind, because a script has to end soon.
    pub const MAX_CHILDREN: usize = 500;

    /// The end of a job that enqueues no children.
    #[must_use]
    pub fn of(verdict: Verdict) -> Self {
        Self { verdict, children: Vec::new(), group: None }
    }

    /// Whether a job of `partition` may end like this: not with too many children, nor with one of another
    /// partition.
    pub(super) fn check(&self, partition: &str) -> Result<(), QueueError> {
        if self.children.len() > Self::MAX_CHILDREN {
            return Err(QueueError::TooManyChildren { count: self.children.len() });
        }
        let continuation = self.group.iter().map(|group| &group.continuation);
        let foreign = |child: &NewJob| child.partition.as_str() != partition;
        if self.children.iter().chain(continuation).any(foreign) {
            Err(QueueError::ForeignChild)
        } else {
            Ok(())
        }
    }
}

impl From<Verdict> for Finish {
    fn from(verdict: Verdict) -> Self {
        Self::of(verdict)
    }
}

/// One job that is at its end.
#[derive(Debug, Clone)]
pub struct FinishedJob {
    /// The partition whose queue the job was in.
    pub partition: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// The shard it was claimed in.
    pub shard: u16,
    /// The fence it was claimed with.
    pub fence: u64,
    /// The verdict and the children to enqueue.
    pub finish: Finish,
    /// Size of the queue's record of it, for the partition's quota.
    pub record_bytes: usize,
    /// Worker time that the job took; `None` keeps the estimate that was charged at its start.
    pub time: Option<WorkerTime>,
}

impl FinishedJob {
    /// The end of a claimed job.
    #[must_use]
    pub fn new(job: &ClaimedJob, fence: u64, finish: impl Into<Finish>) -> Self {
        Self {
            partition: Arc::clone(&job.partition),
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

    /// Checks the conditions that the scripts rely on without checking them.
    ///
    /// # Errors
    /// When the job has too many children, or a child of another partition.
    pub fn check(&self) -> Result<(), QueueError> {
        self.finish.check(&self.partition)
    }

    /// Completed with nothing else to do: the usual case, of which many share one block.
    fn is_plain(&self) -> bool {
        self.finish.verdict == Verdict::Completed
            && self.finish.children.is_empty()
            && self.finish.group.is_none()
    }

    fn push_blocks(&self, arguments: &mut Arguments) {
        let operation = operation(&self.finish.verdict).to_owned();
        add_texts(arguments, [operation, self.fence.to_string(), self.partition.to_string()]);
        match &self.finish.verdict {
            Verdict::Completed => {
                add_texts(arguments, ["1".to_owned(), self.record_bytes.to_string(), self.id.to_string()]);
            }
            Verdict::Discarded { code, reason } | Verdict::Quarantined { code, reason } => {
                add_texts(arguments, [self.id.to_string(), reason_line(code, '\n', reason)]);
            }
            Verdict::Retry { after, error } => {
                let texts =
                    [self.id.to_string(), after.as_millis().to_string(), reason_line("retry", ' ', error)];
                add_texts(arguments, texts);
            }
            Verdict::Waiting { after, reason } => {
                let note = reason_line(WAITS, ' ', reason);
                add_texts(arguments, [self.id.to_string(), after.as_millis().to_string(), note]);
            }
            Verdict::Parked { reason } => {
                let jitter_ms: u32 = rand::random_range(0..250);
                let texts = [self.id.to_string(), jitter_ms.to_string(), reason_line("parked", ' ', reason)];
                add_texts(arguments, texts);
            }
            Verdict::Dropped { .. } | Verdict::Released => add_texts(arguments, [self.id.to_string()]),
        }
        if self.finish.verdict.is_final() {
            self.push_children(arguments);
        }
    }

    fn push_children(&self, arguments: &mut Arguments) {
        if let Some(group) = &self.finish.group {
            encode::push_group(group, arguments);
        }
        arguments.extend(encode::blocks_of(&self.finish.children));
    }
}

const fn operation(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "c",
        Verdict::Retry { .. } => "r",
        Verdict::Waiting { .. } => "h",
        Verdict::Discarded { .. } => "x",
        Verdict::Quarantined { .. } => "q",
        Verdict::Parked { .. } => "p",
        Verdict::Dropped { .. } => "d",
        Verdict::Released => "u",
    }
}

impl Queue {
    /// Finishes jobs and enqueues their children. The answer says for each, in order, whether it was applied: `false`
    /// means that another worker had claimed the job or it had ended before; nothing was changed for it.
    ///
    /// # Errors
    /// When a job fails [`FinishedJob::check`] (nothing is done then), or Redis fails. Calling again is safe: the
    /// fence of a claim lets each finish be applied once, and the second one returns `false`.
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
            // Charges go with the first call of each shard: applied twice, they would count twice.
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

/// How many of the first jobs fit in one call: jobs of one shard, with a bounded number of jobs and children, because
/// a script blocks Redis while it runs.
fn call_len(jobs: &[FinishedJob]) -> usize {
    let mut children = 0;
    let fits = |job: &&FinishedJob| {
        children += job.finish.children.len();
        children <= Finish::MAX_CHILDREN && job.shard == jobs[0].shard
    };
    jobs.iter().take(CALL_JOBS).take_while(fits).count().max(1)
}

/// The arguments of a call, and the index of job number 1, 2, ... in them: plain jobs are grouped, which changes their
/// order.
fn arguments(jobs: &[FinishedJob]) -> (Vec<usize>, Arguments) {
    let (mut order, mut arguments) = (Vec::with_capacity(jobs.len()), Vec::new());
    let mut plain: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        if job.is_plain() {
            plain.entry((job.fence, &job.partition)).or_default().push(index);
        } else {
            order.push(index);
            job.push_blocks(&mut arguments);
        }
    }
    for ((fence, partition), indices) in plain {
        let bytes: usize = indices.iter().map(|&index| jobs[index].record_bytes).sum();
        let (count, bytes) = (indices.len().to_string(), bytes.to_string());
        add_texts(&mut arguments, ["c".to_owned(), fence.to_string(), partition.to_owned(), count, bytes]);
        arguments.extend(indices.iter().map(|&index| jobs[index].id.as_bytes().to_vec()));
        order.extend(indices);
    }
    (order, arguments)
}

/// The minimum worker time charged for a job, for the work it causes outside its handler.
pub(super) const LEAST: Duration = Duration::from_micros(100);

/// The worker time of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerTime {
    /// What was charged so far: an estimate at the claim, and more at each renewal of the lease.
    pub charged: Duration,
    /// How long a worker had it.
    pub took: Duration,
}

impl WorkerTime {
    /// Time taken minus time charged, in microseconds; negative when too much was charged.
    pub(super) fn delta_us(self) -> i64 {
        micros(self.took.max(LEAST)) - micros(self.charged)
    }
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Differences between charged and used worker time, by shard and partition.
#[derive(Debug, Default)]
pub(super) struct Charges(BTreeMap<u16, BTreeMap<Arc<str>, Charge>>);

#[derive(Debug, Default, Clone, Copy)]
struct Charge {
    delta_us: i64,
    jobs: u32,
    total_us: i64,
}

impl Charges {
    pub(super) fn of(jobs: &[FinishedJob]) -> Self {
        let mut charges = Self::default();
        for job in jobs {
            charges.add(job);
        }
        charges
    }

    pub(super) fn add(&mut self, job: &FinishedJob) {
        let Some(time) = job.time else { return };
        let partitions = self.0.entry(job.shard).or_default();
        let charge = partitions.entry(Arc::clone(&job.partition)).or_default();
        charge.delta_us += time.delta_us();
        charge.jobs += 1;
        charge.total_us += micros(time.took.max(LEAST));
    }

    /// Takes out the charges that matter: those of at least `least`, in either direction. Small ones wait until
    /// they add up, because each costs Redis a rewrite of the partition's row.
    pub(super) fn take_large(&mut self, least: Duration) -> Self {
        let (least, mut all) = (micros(least), Self::default());
        for (&shard, partitions) in &mut self.0 {
            let (large, small) = std::mem::take(partitions)
                .into_iter()
                .partition(|(_, charge)| charge.delta_us.abs() >= least);
            *partitions = small;
            all.0.insert(shard, large);
        }
        all
    }

    /// `'w' partition delta_us count total_us`, for each partition of the shard.
    pub(super) fn push_to(&self, shard: u16, arguments: &mut Arguments) {
        for (partition, charge) in self.0.get(&shard).into_iter().flatten() {
            let Charge { delta_us, jobs, total_us } = charge;
            let numbers = [delta_us.to_string(), jobs.to_string(), total_us.to_string()];
            add_texts(arguments, ["w".to_owned(), partition.to_string()]);
            add_texts(arguments, numbers);
        }
    }
}
