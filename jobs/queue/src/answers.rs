//! What the queue tells about jobs and partitions, and how it is read from the answers of its functions.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use redis::Value;

use crate::error::QueueError;
use crate::id::JobId;
use crate::job::{Lane, Priority};
use crate::queue::moment;

/// Where a job is, in the words of the Open Job Spec and two of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// Waits for a worker.
    Available,
    /// A worker has it.
    Active,
    /// Failed and waits for its next attempt.
    Retryable,
    /// Done, not long ago. Older ones are forgotten.
    Completed,
    /// Cancelled recently. The queue forgets cancelled jobs after a while.
    Cancelled,
    /// A dead letter: its attempts are used up or trying again cannot help.
    Discarded,
    /// Never allowed to run.
    Quarantined,
    /// Waits until its partition may run.
    Parked,
}

impl JobState {
    /// Every state there is.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Available,
        Self::Active,
        Self::Retryable,
        Self::Completed,
        Self::Cancelled,
        Self::Discarded,
        Self::Quarantined,
        Self::Parked,
    ];

    /// The name used in HTTP answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Available => "available",
            Self::Active => "active",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Quarantined => "quarantined",
            Self::Parked => "parked",
        }
    }

    /// The state called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a job failed or was refused, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable code, `snake_case`.
    pub code: String,
    /// For people; at most 300 bytes.
    pub text: String,
}

/// The queue's view of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// The job's id.
    pub id: JobId,
    /// The state of the job.
    pub state: JobState,
    /// The skill it waits in; empty when the job is forgotten but for its outcome.
    pub skill: String,
    /// Whether a live worker declares that skill. If not, the job waits for one.
    pub skill_declared: bool,
    /// Its lane among the partition's jobs.
    pub lane: Lane,
    /// Its priority among the partition's jobs of the same lane.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// How often its worker vanished.
    pub deaths: u32,
    /// How often it was returned at a shutdown; not counted as attempts.
    pub interruptions: u32,
    /// How often it waited for a service that was busy or away, or for its partition; not counted as attempts. 99 may
    /// mean more.
    pub waits: u32,
    /// When it becomes available; for a dead letter or a quarantined job, since when it is one.
    pub at: Option<DateTime<Utc>>,
    /// The last failure, or why it is where it is.
    pub reason: Option<Reason>,
}

/// The number of a partition's jobs by state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Waiting for a worker.
    pub available: u64,
    /// Being run.
    pub active: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Waiting for their next attempt.
    pub retryable: u64,
    /// Waiting until the partition may run; for a suspended partition, everything that would otherwise be available.
    pub parked: u64,
    /// Dead letters kept.
    pub discarded: u64,
    /// Jobs kept in quarantine.
    pub quarantined: u64,
    /// Completed jobs, since the queue knows the partition: of idle ones it remembers 10,000 at least in each shard.
    pub completed_total: u64,
    /// Jobs cancelled since then.
    pub cancelled_total: u64,
    /// Discarded since then, redriven ones included.
    pub discarded_total: u64,
    /// Quarantined since then.
    pub quarantined_total: u64,
    /// Available jobs in skills which no live worker declares, by skill.
    pub undeclared: BTreeMap<String, u64>,
}

impl QueueStats {
    /// Jobs that will still run by themselves, or are running.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.available + self.active + self.scheduled + self.retryable + self.parked
    }
}

/// Which of the two places for jobs that will not run by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Dead letters.
    Discarded,
    /// Quarantine.
    Quarantined,
}

/// One job that will not run by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptJob {
    /// Its id.
    pub id: JobId,
    /// Since when it is kept.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: Reason,
}

/// The result of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOutcome {
    /// Jobs that are in the queue now and were not before.
    pub accepted: usize,
    /// Jobs that were not enqueued because the queue has them, or one with the same unique key, already.
    pub duplicates: usize,
    /// Jobs whose unique key was taken by another job.
    pub conflicts: Vec<UniqueConflict>,
}

/// A job met another one with the same unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueConflict {
    /// The job that was pushed.
    pub id: JobId,
    /// The job that was there.
    pub existing: JobId,
    /// How the conflict was resolved.
    pub done: ConflictDone,
}

/// How a conflict of unique jobs was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictDone {
    /// The job that was there stays as it was.
    Kept,
    /// The pushed job replaced the waiting one, which is cancelled.
    Replaced,
    /// The job that was there has the pushed one's time now.
    Rescheduled,
}

impl ConflictDone {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "kept" => Some(Self::Kept),
            "replaced" => Some(Self::Replaced),
            "rescheduled" => Some(Self::Rescheduled),
            _ => None,
        }
    }
}

/// Converts an array of texts and numbers to texts. Values that are not UTF-8 cannot be ids of this queue; they are
/// left out so that they do not hide the valid ones.
pub(super) fn texts(values: &[Value]) -> Result<Vec<String>, QueueError> {
    values.iter().map(text).collect()
}

fn text(value: &Value) -> Result<String, QueueError> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(QueueError::Answer("expected text or a number")),
    }
}

pub(super) fn status(id: JobId, answer: &[Value]) -> Result<Option<JobStatus>, QueueError> {
    let answer = texts(answer)?;
    let [state, at, why, declared, header @ ..] = answer.as_slice() else {
        return Ok(None);
    };
    let state = JobState::from_name(state).ok_or(QueueError::Answer("an unknown state"))?;
    let at = if at.is_empty() { None } else { Some(moment(at)?) };
    let number = |index: usize| header.get(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let (lane, priority) = Lane::from_level(number(1));
    Ok(Some(JobStatus {
        id,
        state,
        skill: header.first().cloned().unwrap_or_default(),
        skill_declared: declared == "1",
        lane,
        priority,
        attempts: number(2),
        deaths: number(3),
        interruptions: number(4),
        waits: number(5),
        at,
        reason: reason(why),
    }))
}

/// `code`, a line end or a space, and the text.
pub(super) fn reason(why: &str) -> Option<Reason> {
    let (code, text) = why.split_once(['\n', ' ']).unwrap_or((why, ""));
    (!code.is_empty()).then(|| Reason { code: code.to_owned(), text: text.to_owned() })
}

pub(super) fn stats(counts: Vec<u64>, undeclared: &[String]) -> Result<QueueStats, QueueError> {
    let counts: [u64; 11] = counts.try_into().map_err(|_| QueueError::Answer("expected eleven counts"))?;
    let [available, active, scheduled, retryable, parked, discarded, quarantined, totals @ ..] = counts;
    let [completed_total, cancelled_total, discarded_total, quarantined_total] = totals;
    let undeclared =
        undeclared.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].parse().unwrap_or(0))).collect();
    Ok(QueueStats {
        available,
        active,
        scheduled,
        retryable,
        parked,
        discarded,
        quarantined,
        completed_total,
        cancelled_total,
        discarded_total,
        quarantined_total,
        undeclared,
    })
}
