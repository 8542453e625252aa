use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::queue::Inspected;
use jobs::tenant::KbId;
use jobs::{BatchId, JobId};

/// The record of a finished job, kept in the catalog after the queue has forgotten the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// The job's knowledge base, if any.
    pub kb: Option<KbId>,
    /// The job that enqueued it, if a job did and that is known.
    pub parent: Option<JobId>,
    /// The batch whose documents it worked on, if that is known.
    pub batch: Option<BatchId>,
    /// The trace that it is in, in hexadecimal, if that is known.
    pub trace_id: Option<String>,
    /// The name of its queue.
    pub queue: String,
    /// Its final state in the Open Job Spec's words: `completed`, `discarded` or `cancelled`.
    pub state: String,
    /// Number of attempts.
    pub attempts: u32,
    /// Why it was discarded or cancelled, or why it completed without work: a stable code and a text.
    pub error: Option<(String, String)>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its last attempt began; `None` when that is not known, because it was cancelled while it waited.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

impl JobRecord {
    /// Code in the record of a job that was not enqueued because another one does the same.
    pub const SAME_WORK: &'static str = "same_work";

    /// The record of an accepted job that was not enqueued, because `other` has its unique key. `None` when its
    /// envelope cannot be read.
    #[must_use]
    pub fn of_same_work(job: &StampedJob, other: JobId, now: DateTime<Utc>) -> Option<Self> {
        let Inspected { envelope, kb } = Inspected::read(job.tenant_id(), job.wire())?;
        Some(Self {
            id: envelope.id,
            kind: envelope.kind,
            kb,
            parent: envelope.meta.parent,
            batch: envelope.meta.batch,
            trace_id: Some(envelope.meta.traceparent.trace_id().to_owned()),
            queue: envelope.queue,
            state: "cancelled".to_owned(),
            attempts: 0,
            error: Some((
                Self::SAME_WORK.to_owned(),
                format!("job {other} does the same and has not started yet"),
            )),
            created_at: envelope.meta.created_at,
            started_at: None,
            finished_at: now,
        })
    }
}

/// How often a discarded or quarantined job was started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrives {
    /// Number of times.
    pub times: u64,
    /// The last time.
    pub last_at: DateTime<Utc>,
    /// The actor of the last time, as text.
    pub last_by: String,
}

/// A decision about a single job, made after it was enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobMark {
    /// It must not run.
    Cancelled,
    /// It runs although its tenant's work was cancelled before: a discarded job that was started again.
    Redriven,
}

impl JobMark {
    /// Its name in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Redriven => "redriven",
        }
    }

    /// The mark of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cancelled, Self::Redriven].into_iter().find(|mark| mark.as_str() == name)
    }
}

/// The times of a tenant's last cancellations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cancellations {
    /// The last cancellation of all work.
    pub all_at: Option<DateTime<Utc>>,
    /// The last mark on a single job.
    pub marked_at: Option<DateTime<Utc>>,
}

impl Cancellations {
    /// Whether the cancellations can affect a job that was enqueued at `created_at`.
    #[must_use]
    pub fn concern(&self, created_at: DateTime<Utc>) -> bool {
        self.all_at.max(self.marked_at).is_some_and(|last| created_at < last)
    }

    /// Whether a job that was enqueued at `created_at` and has this mark is cancelled.
    #[must_use]
    pub fn cancelled(&self, created_at: DateTime<Utc>, mark: Option<(JobMark, DateTime<Utc>)>) -> bool {
        let with_all = self.all_at.is_some_and(|all_at| created_at < all_at);
        match mark {
            Some((JobMark::Cancelled, _)) => true,
            Some((JobMark::Redriven, at)) => with_all && self.all_at.is_some_and(|all_at| at < all_at),
            None => with_all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap_or_default()
    }

    #[test]
    fn what_was_made_before_everything_was_cancelled_is_cancelled_unless_it_was_started_again() {
        let cancelled = Cancellations { all_at: Some(at(10)), marked_at: Some(at(12)) };
        assert!(cancelled.concern(at(9)) && cancelled.concern(at(11)) && !cancelled.concern(at(12)));
        assert!(cancelled.cancelled(at(9), None) && !cancelled.cancelled(at(10), None));
        assert!(cancelled.cancelled(at(11), Some((JobMark::Cancelled, at(12)))));
        assert!(!cancelled.cancelled(at(9), Some((JobMark::Redriven, at(12)))));
        assert!(
            cancelled.cancelled(at(9), Some((JobMark::Redriven, at(8)))),
            "everything was cancelled later"
        );
        assert!(!Cancellations::default().concern(at(0)));
    }
}
