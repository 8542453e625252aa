//! Whether a partition may ask for more: how often it asks, and what room its backlog has. Both are known before
//! anything is written, in one call.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::encode;
use crate::error::QueueError;
use crate::id::PartitionId;
use crate::job::NewJob;
use crate::limits::LimitReached;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::script::Operation;

/// A sliding window with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// How much fits into the window.
    pub limit: u64,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// The present moment, at which the window ends, in seconds since the Unix epoch.
    pub now_s: i64,
}

/// State of a [`RateWindow`] after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTaken {
    /// Whether the amount fitted. If not, nothing was taken.
    pub taken: bool,
    /// Amount in the window now.
    pub used: u64,
    /// Seconds until the oldest entry leaves the window and makes room.
    pub frees_in_s: u32,
}

/// What was present, and how much there may be; `None` without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount {
    current: u64,
    maximum: Option<u64>,
}

impl Amount {
    fn read(current: &str, maximum: &str) -> Option<Self> {
        let maximum = if maximum.is_empty() { None } else { Some(maximum.parse().ok()?) };
        Some(Self { current: current.parse().ok()?, maximum })
    }

    /// The present amount and the maximum, if `more` do not fit.
    fn over(self, more: usize) -> Option<(u64, u64)> {
        let wanted = self.current.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        self.maximum.filter(|maximum| wanted > *maximum).map(|maximum| (self.current, maximum))
    }
}

/// The room that one queue of a partition had when it was asked. Nothing is reserved: others may push meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomLeft {
    partition: PartitionId,
    queue: String,
    /// What is draining, so that nothing new is accepted.
    draining: Option<String>,
    jobs: Amount,
    size_bytes: Amount,
    scheduled: Amount,
    /// When there may be room again, a guess.
    retry_after: Duration,
}

/// When scheduled jobs may be fewer: nothing is known of when they start.
const SCHEDULED_RETRY: Duration = Duration::from_secs(60);

impl RoomLeft {
    fn read(partition: &PartitionId, queue: &str, answer: &[String]) -> Result<Self, QueueError> {
        let read = || {
            let [draining, jobs, jobs_max, bytes, bytes_max, scheduled, scheduled_max, retry_ms] = answer
            else {
                return None;
            };
            Some(Self {
                partition: partition.clone(),
                queue: queue.to_owned(),
                draining: (!draining.is_empty()).then(|| draining.clone()),
                jobs: Amount::read(jobs, jobs_max)?,
                size_bytes: Amount::read(bytes, bytes_max)?,
                scheduled: Amount::read(scheduled, scheduled_max)?,
                retry_after: Duration::from_millis(retry_ms.parse().ok()?),
            })
        };
        read().ok_or(QueueError::Answer("room"))
    }

    /// Whether `jobs` fit; `None` when one of them is of another partition or queue.
    ///
    /// # Errors
    /// [`QueueError::LimitReached`] with the limit.
    pub fn check<J: Borrow<NewJob>>(&self, jobs: &[J]) -> Option<Result<(), QueueError>> {
        let wanted = wanted(jobs);
        let mut queues = wanted.into_iter();
        let ((partition, queue), wanted) = queues.next()?;
        let is_about = *partition == self.partition && queue == self.queue && queues.next().is_none();
        is_about.then(|| self.check_wanted(&wanted))
    }

    fn check_wanted(&self, wanted: &Wanted) -> Result<(), QueueError> {
        let reached = |limit: &str, (current, maximum): (u64, u64), retry_after: Duration| {
            let (partition, limit) = (self.partition.clone(), limit.to_owned());
            Err(QueueError::LimitReached(vec![LimitReached {
                partition,
                limit,
                current,
                maximum,
                retry_after,
            }]))
        };
        if let Some(draining) = &self.draining {
            return reached(draining, (0, 0), self.retry_after);
        }
        if wanted.jobs == 0 {
            return Ok(());
        }
        if let Some(over) = self.jobs.over(wanted.jobs) {
            return reached("backlog_jobs", over, self.retry_after);
        }
        if let Some(over) = self.size_bytes.over(wanted.size_bytes) {
            return reached("backlog_bytes", over, self.retry_after);
        }
        match self.scheduled.over(wanted.scheduled).filter(|_| wanted.scheduled > 0) {
            Some(over) => reached("scheduled_jobs", over, SCHEDULED_RETRY),
            None => Ok(()),
        }
    }
}

/// The jobs and bytes that a call adds to one queue of one partition.
#[derive(Debug, Default)]
struct Wanted {
    jobs: usize,
    size_bytes: usize,
    scheduled: usize,
}

fn wanted<J: Borrow<NewJob>>(jobs: &[J]) -> BTreeMap<(&PartitionId, &str), Wanted> {
    let mut all: BTreeMap<_, Wanted> = BTreeMap::new();
    for job in jobs.iter().map(Borrow::<NewJob>::borrow) {
        let wanted = all.entry((&job.partition, job.skill.queue())).or_default();
        wanted.jobs += 1;
        wanted.size_bytes += encode::fresh(job).len();
        wanted.scheduled += usize::from(job.due.is_some());
    }
    all
}

impl Queue {
    /// Takes `more` of what a partition's window may hold, all or nothing and atomically; 0 only looks. A partition has
    /// one window. In the same call asks what room it has in `queue`, if one is named.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn admit(
        &self,
        partition: &PartitionId,
        window: RateWindow,
        more: u64,
        queue: Option<&str>,
    ) -> Result<(RateTaken, Option<RoomLeft>), QueueError> {
        let RateWindow { limit, window_s, now_s } = window;
        let (name, asked) = (partition.to_string(), queue.unwrap_or_default().to_owned());
        let numbers = [limit.to_string(), window_s.to_string(), more.to_string()];
        let arguments: Vec<_> = [now_s.to_string(), name].into_iter().chain(numbers).chain([asked]).collect();
        // Not resent: it would be taken twice.
        let (taken, used, frees_in_s, room): (u8, u64, u32, Vec<String>) =
            self.call_as_is(self.home(partition), Operation::Admit, Resend::Never, arguments).await?;
        let room = queue.map(|queue| RoomLeft::read(partition, queue, &room)).transpose()?;
        Ok((RateTaken { taken: taken == 1, used, frees_in_s }, room))
    }

    /// What room a partition has in `queue`.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn room_left(&self, partition: &PartitionId, queue: &str) -> Result<RoomLeft, QueueError> {
        let arguments = vec![partition.to_string(), queue.to_owned()];
        let answer: Vec<String> = self.read_for(partition, Operation::Room, arguments).await?;
        RoomLeft::read(partition, queue, &answer)
    }

    /// Whether a partition may add `jobs` jobs to `queue`, of which `scheduled` are for later, with records of
    /// `size_bytes` together: for a caller that accepts work before it enqueues it. Others may add meanwhile.
    ///
    /// # Errors
    /// [`QueueError::LimitReached`] with the limit; otherwise when Redis fails.
    pub async fn room(
        &self,
        partition: &PartitionId,
        queue: &str,
        jobs: usize,
        size_bytes: usize,
        scheduled: usize,
    ) -> Result<(), QueueError> {
        let wanted = Wanted { jobs, size_bytes, scheduled };
        self.room_left(partition, queue).await?.check_wanted(&wanted)
    }

    /// Checks that [`Queue::push`] would accept these jobs now. Nothing is reserved: concurrent callers may all be
    /// told that there is room.
    ///
    /// # Errors
    /// [`QueueError::LimitReached`] with the limit; otherwise when Redis fails.
    pub async fn room_for<J: Borrow<NewJob> + Sync>(&self, jobs: &[J]) -> Result<(), QueueError> {
        for ((partition, queue), wanted) in wanted(jobs) {
            self.room_left(partition, queue).await?.check_wanted(&wanted)?;
        }
        Ok(())
    }
}
