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
