use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::KbId;

/// How a job ended: kept in the catalog after the queue has forgotten the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// The knowledge base that it was about, if it was about one.
    pub kb: Option<KbId>,
    /// The queue it waited in.
    pub queue: String,
    /// Its final state in the Open Job Spec's words: `completed`, `discarded` or `cancelled`.
    pub state: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// Why it was discarded, or why there was nothing to do for one that completed: stable code and text.
    pub error: Option<(String, String)>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its last attempt began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// That a dead letter, or a job in quarantine, was started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrives {
    /// How often.
    pub times: u64,
    /// When it was started again last.
    pub last_at: DateTime<Utc>,
    /// Who did that: an actor as text.
    pub last_by: String,
}

/// What was said about a single job after it was enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobMark {
    /// It shall not run.
    Cancelled,
    /// It shall run although work was cancelled before: a dead letter that was started again.
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

/// When work of a tenant was cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cancellations {
    /// All of it, for the last time.
    pub all_at: Option<DateTime<Utc>>,
    /// When something was said about a single job, for the last time.
    pub marked_at: Option<DateTime<Utc>>,
}

impl Cancellations {
    /// Whether they can concern a job that was made at `created_at`.
    #[must_use]
    pub fn concern(&self, created_at: DateTime<Utc>) -> bool {
        self.all_at.max(self.marked_at).is_some_and(|last| created_at < last)
    }

    /// Whether a job was cancelled that was made at `created_at` and has that mark.
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
