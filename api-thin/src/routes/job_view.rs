use chrono::{DateTime, Utc};
use jobs::queue::{Explanation, Inspected, JobState, JobSummary, WaitsFor};
use jobs::tenant::KbId;
use jobs::{JobId, JobKind};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{JobRecord, Redrives};

/// A job as callers see it, in the words of the Open Job Spec, wherever it was found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(super) struct JobView {
    id: JobId,
    #[serde(rename = "type")]
    kind: Option<String>,
    queue: Option<String>,
    state: String,
    /// Attempts that were begun and not interrupted.
    attempt: u32,
    created_at: Option<DateTime<Utc>>,
    /// When it becomes available, if it waits for its time.
    scheduled_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    error: Option<Fault>,
    /// Why a job that completed had nothing to do, such as one that was started again in vain.
    note: Option<Fault>,
    /// That it was started again after it had been given up.
    redriven: Option<RedrivenView>,
    /// What keeps it from running.
    waits_for: Vec<Wait>,
}

/// That a job was started again.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Redriven")]
struct RedrivenView {
    /// How often.
    times: u64,
    /// When last.
    last_at: DateTime<Utc>,
    /// By whom last: `user:…`, `api_key:…` or `operator`.
    last_by: String,
}

/// Something that a job waits for.
#[derive(Debug, Serialize, JsonSchema)]
struct Wait {
    code: &'static str,
    text: String,
}

/// Why a job failed, or what its last attempt met.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobFault")]
pub(super) struct Fault {
    /// Stable: for programs.
    pub(super) code: String,
    pub(super) detail: String,
}

impl JobView {
    /// A job of which the queue or the history knows. While it is on its way the queue knows better, also of
    /// a job that was started again after it had ended.
    pub(super) fn of(queued: Option<Explanation>, record: Option<JobRecord>) -> Option<Self> {
        match (queued, record) {
            (Some(queued), Some(record)) if is_over(queued.status.state) => Some(Self::ended(record)),
            (Some(queued), _) => Some(Self::queued(queued)),
            (None, record) => record.map(Self::ended),
        }
    }

    fn queued(queued: Explanation) -> Self {
        let Explanation { status, waits_for } = queued;
        let wait = |wait: WaitsFor| Wait { code: wait.code(), text: wait.to_string() };
        let waits = matches!(status.state, JobState::Scheduled | JobState::Retryable);
        let stays = matches!(status.state, JobState::Discarded | JobState::Quarantined);
        let kind = status.lane.split('@').next().filter(|kind| !kind.is_empty()).map(str::to_owned);
        Self {
            id: status.id,
            queue: kind.as_deref().and_then(queue_of).map(str::to_owned),
            kind,
            state: status.state.to_string(),
            attempt: status.attempts + u32::from(status.state == JobState::Active),
            created_at: status.id.created_at(),
            scheduled_at: status.at.filter(|_| waits),
            started_at: None,
            finished_at: status.at.filter(|_| stays),
            error: status.reason.map(|reason| Fault { code: reason.code, detail: reason.text }),
            note: None,
            redriven: None,
            waits_for: waits_for.into_iter().map(wait).collect(),
        }
    }

    /// A job that was accepted and that the queue does not have yet. Its envelope is shown, not trusted.
    pub(super) fn accepted(Inspected { envelope, .. }: Inspected) -> Self {
        Self {
            id: envelope.id,
            kind: Some(envelope.kind),
            queue: Some(envelope.queue),
            state: JobState::Available.to_string(),
            attempt: 0,
            created_at: Some(envelope.meta.created_at),
            scheduled_at: envelope.scheduled_at,
            started_at: None,
            finished_at: None,
            error: None,
            note: None,
            redriven: None,
            waits_for: vec![Wait {
                code: "delivery",
                text: "the queue does not have the job yet: it is delivered when the queue answers"
                    .to_owned(),
            }],
        }
    }

    /// The view of a job that was started again so often.
    pub(super) fn with_redrives(self, redrives: Option<Redrives>) -> Self {
        let of = |Redrives { times, last_at, last_by }| RedrivenView { times, last_at, last_by };
        Self { redriven: redrives.map(of), ..self }
    }

    fn ended(record: JobRecord) -> Self {
        let fault = record.error.map(|(code, detail)| Fault { code, detail });
        let (error, note) = if record.state == "completed" { (None, fault) } else { (fault, None) };
        Self {
            id: record.id,
            kind: Some(record.kind),
            queue: Some(record.queue),
            state: record.state,
            attempt: record.attempts,
            created_at: Some(record.created_at),
            scheduled_at: None,
            started_at: Some(record.started_at),
            finished_at: Some(record.finished_at),
            error,
            note,
            redriven: None,
            waits_for: Vec::new(),
        }
    }
}

fn is_over(state: JobState) -> bool {
    use JobState::{Cancelled, Completed, Discarded, Quarantined};
    matches!(state, Completed | Cancelled | Discarded | Quarantined)
}

fn queue_of(kind: &str) -> Option<&'static str> {
    JobKind::ALL.iter().find(|known| known.as_str() == kind).map(|known| known.policy().queue)
}

/// A job in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedJob")]
pub(super) struct JobRow {
    id: JobId,
    #[serde(rename = "type")]
    kind: String,
    queue: String,
    state: &'static str,
    attempt: u32,
    created_at: DateTime<Utc>,
    kb_id: Option<KbId>,
}

impl From<JobSummary> for JobRow {
    fn from(job: JobSummary) -> Self {
        let JobSummary { id, kind, queue, state, attempts, created_at, kb, .. } = job;
        let attempt = attempts + u32::from(state == JobState::Active);
        Self { id, kind, queue, state: state.as_str(), attempt, created_at, kb_id: kb }
    }
}
