//! A job to push: its payload, partition, skill and due time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{GroupId, JobId, PartitionId};

/// A job that is not in the queue yet.
///
/// Under an id that the queue has already, waiting, running or dead, it is left out: a push that got no answer is
/// simply repeated.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// The partition that the job belongs to and is charged to.
    pub partition: PartitionId,
    /// The skill that its worker needs: workers fetch by skill.
    pub skill: Skill,
    /// Its lane among its partition's jobs.
    pub lane: Lane,
    /// Its priority among its partition's jobs of the same lane.
    pub priority: Priority,
    /// The branch of its partition that it belongs to: branches take turns.
    pub branch: Branch,
    /// Not before this moment; `None` for at once.
    pub due: Option<DateTime<Utc>>,
    /// The group that waits for it.
    pub group: Option<GroupId>,
    /// The unique key that keeps a duplicate out.
    pub unique: Option<Unique>,
    /// What its handler gets: the queue never looks into it. The whole record has to fit in a call of at most 1 MiB.
    pub payload: Bytes,
}

impl NewJob {
    /// A job of `skill` for `partition`, due at once, under a fresh id that is made at `now`.
    #[must_use]
    pub fn new(partition: PartitionId, skill: Skill, payload: impl Into<Bytes>, now: DateTime<Utc>) -> Self {
        Self {
            id: JobId::generate(now),
            partition,
            skill,
            lane: Lane::default(),
            priority: Priority::default(),
            branch: Branch::default(),
            due: None,
            group: None,
            unique: None,
            payload: payload.into(),
        }
    }
}

/// What a worker has to know to run a job: its type and payload version, such as `document.ingest@1`. A worker fetches
/// only jobs of the skills it declares, so a job of an unknown type or version waits for a worker that declares its
/// skill and does not delay other jobs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Skill {
    name: Arc<str>,
    queue: Arc<str>,
}

impl Skill {
    /// What jobs of type `kind` need whose payload has this `version`. A `queue` is what several skills belong to, and
    /// can be paused or drained. Control characters in either name become spaces, because names are written as lines.
    #[must_use]
    pub fn new(kind: &str, version: u32, queue: &str) -> Self {
        Self { name: line(&format!("{kind}@{version}")), queue: line(queue) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The queue that its type belongs to.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }
}

impl fmt::Display for Skill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The type in the name of a skill.
pub(crate) fn kind_of(skill: &str) -> &str {
    skill.rsplit_once('@').map_or(skill, |(kind, _)| kind)
}

/// The two lanes of a partition. While both have jobs that may start, one of [`Lane::BULK_TURN`] visits to the
/// partition begins with bulk, the others with interactive; a lane that is alone has them all. A job keeps its lane
/// for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// A person waits for the result.
    #[default]
    Interactive = 0,
    /// One of many: a batch, maintenance.
    Bulk = 1,
}

impl Lane {
    /// Both lanes, the one that is served first before the other.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];
    /// Of so many visits, one begins with bulk while interactive jobs wait.
    pub const BULK_TURN: u64 = 5;

    /// Its name in answers and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }

    /// The lane of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }

    /// The number of the list that holds jobs of this lane and `priority`, as the scripts count.
    pub(crate) const fn level(self, priority: Priority) -> u8 {
        LEVELS * self as u8 + priority.level()
    }

    /// Lane and priority of a list.
    pub(crate) const fn from_level(level: u32) -> (Self, Priority) {
        let lane = if level < LEVELS as u32 { Self::Interactive } else { Self::Bulk };
        (lane, Priority::from_level(level % LEVELS as u32))
    }
}

/// How many priorities a lane has.
const LEVELS: u8 = 4;

/// A branch of a partition, such as one of a customer's projects: while several have waiting jobs of a skill, lane and
/// priority, they take turns job by job, so that none waits for another's backlog. All jobs without one share a turn,
/// and so do those of the branches that come when a thousand others wait already.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Branch(Arc<str>);

impl Branch {
    /// The branch of that name. Long ones cost memory with every waiting job. Control characters become spaces, because
    /// names are written as lines.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(line(name))
    }

    /// The name; empty for no branch.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Branch {
    fn default() -> Self {
        Self("".into())
    }
}

fn line(text: &str) -> Arc<str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

/// Which of a partition's waiting jobs of a lane goes first. Between partitions priority means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// A user is waiting for the result.
    High = 0,
    /// The usual.
    #[default]
    Normal = 1,
    /// Less urgent than normal work.
    Low = 2,
    /// Maintenance.
    Background = 3,
}

impl Priority {
    /// The list of the partition that holds the job: 0 is served first.
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The priority of a list.
    #[must_use]
    pub const fn from_level(level: u32) -> Self {
        match level {
            0 => Self::High,
            1 => Self::Normal,
            2 => Self::Low,
            _ => Self::Background,
        }
    }

    /// Every priority, the one that is served first before the others.
    pub const ALL: [Self; 4] = [Self::High, Self::Normal, Self::Low, Self::Background];

    /// Its name in answers and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Background => "background",
        }
    }

    /// The priority of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }

    /// The Open Job Spec `priority`: a higher number goes first, 0 is normal.
    #[must_use]
    pub const fn number(self) -> i32 {
        1 - self as i32
    }

    /// The priority whose Open Job Spec number is nearest to `number`.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            1.. => Self::High,
            0 => Self::Normal,
            -1 => Self::Low,
            _ => Self::Background,
        }
    }
}

/// Keeps a second job with the same key out of the partition. The key is free again when the job ends, however it
/// ends; redriving a dead letter takes the key again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// What makes two jobs of a partition the same: any text. Long ones cost memory; take a hash.
    pub key: String,
    /// How long the key is held.
    pub scope: UniqueScope,
    /// What to do with the second job.
    pub on_conflict: OnConflict,
}

/// How long a unique job keeps others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    /// Until a worker takes it: one may wait while another runs.
    UntilStarted,
    /// Until it has ended: completed, cancelled, discarded or quarantined.
    UntilFinished,
    /// For this time from its enqueue, even if the job ends earlier. In milliseconds.
    Period(Duration),
}

/// How a job is handled whose key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The job that is there stays; the new one is not enqueued.
    #[default]
    Keep,
    /// The new job takes the position and due time of the existing one if that still waits; else as `Keep`. So the
    /// last arguments win. The position is kept among the first and the last thousand jobs of a list; from the middle
    /// of a longer list, the job goes to the end.
    Replace,
    /// The job that is there gets the new one's time, if it waits for a time; else as `Keep`.
    Reschedule,
}

/// When a failed job is tried again: exponential backoff with full jitter between half and the whole of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// How often the handler may fail before the job is discarded.
    pub max_attempts: u32,
    /// The wait after the first failure.
    pub initial_interval: Duration,
    /// By how much each wait exceeds the one before.
    pub backoff_coefficient: f64,
    /// The longest wait.
    pub max_interval: Duration,
    /// Whether to spread the waits of jobs that failed together.
    pub jitter: bool,
}

/// The usual backoff with 8 attempts.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::attempts(8)
    }
}

impl RetryPolicy {
    /// The usual backoff (1 s, doubling, at most 5 min) with the given number of attempts.
    #[must_use]
    pub const fn attempts(max_attempts: u32) -> Self {
        Self {
            max_attempts,
            initial_interval: Duration::from_secs(1),
            backoff_coefficient: 2.0,
            max_interval: Duration::from_secs(300),
            jitter: true,
        }
    }

    /// The wait after failure number `failures` (1 for the first). `random` is uniform in 0..1.
    #[must_use]
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let exponent = f64::from(failures.saturating_sub(1).min(64));
        let longest = self.max_interval.as_secs_f64();
        let full = (self.initial_interval.as_secs_f64() * self.backoff_coefficient.max(1.0).powf(exponent))
            .min(longest);
        let wait = if self.jitter { full * (0.5 + 0.5 * random.clamp(0.0, 1.0)) } else { full };
        Duration::from_secs_f64(wait)
    }
}

/// The retry policy of a job whose handler panicked or whose service failed without a verdict. It is read from the
/// payload, because the queue itself stores no policies. By default the usual backoff with 8 attempts.
#[derive(Clone)]
pub struct RetryRule(Arc<PolicyOf>);

type PolicyOf = dyn Fn(&[u8]) -> RetryPolicy + Send + Sync;

impl RetryRule {
    /// The rule that `policy_of` tells out of a payload.
    pub fn new(policy_of: impl Fn(&[u8]) -> RetryPolicy + Send + Sync + 'static) -> Self {
        Self(Arc::new(policy_of))
    }

    pub(crate) fn policy(&self, payload: &[u8]) -> RetryPolicy {
        (self.0)(payload)
    }
}

impl Default for RetryRule {
    fn default() -> Self {
        Self::new(|_| RetryPolicy::default())
    }
}

impl fmt::Debug for RetryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryRule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_survive_the_wire() {
        for priority in Priority::ALL {
            assert_eq!(Priority::from_number(priority.number()), priority);
            assert_eq!(Priority::from_level(priority.level().into()), priority);
            assert_eq!(Priority::from_name(priority.as_str()), Some(priority));
        }
        assert_eq!(Priority::default().number(), 0);
    }

    #[test]
    fn lanes_survive_the_wire() {
        for (lane, priority) in
            Lane::ALL.into_iter().flat_map(|lane| Priority::ALL.map(|priority| (lane, priority)))
        {
            assert_eq!(Lane::from_level(lane.level(priority).into()), (lane, priority));
            assert_eq!(Lane::from_name(lane.as_str()), Some(lane));
        }
        assert_eq!((Branch::new("a\tb\n").as_str(), Branch::default().as_str()), ("a b ", ""));
    }

    #[test]
    fn a_skill_is_one_line() {
        let skill = Skill::new("mail\nsend", 2, "a\tb");
        assert_eq!(
            (skill.as_str(), skill.queue(), kind_of(skill.as_str())),
            ("mail send@2", "a b", "mail send")
        );
    }

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let policy = RetryPolicy::attempts(8);
        assert_eq!(policy.wait(1, 1.0), Duration::from_secs(1));
        assert_eq!(policy.wait(1, 0.0), Duration::from_millis(500));
        assert_eq!(policy.wait(4, 1.0), Duration::from_secs(8));
        assert_eq!(policy.wait(u32::MAX, 1.0), Duration::from_secs(300));
    }
}
