use chrono::{DateTime, Utc};
use jobs::queue::{JobState, JobStatus};
use jobs::{JobId, JobKind};
use serde::Serialize;
use stores::model::JobRecord;

/// A job as callers see it, in the words of the Open Job Spec, wherever it was found.
#[derive(Debug, Serialize)]
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
    /// What keeps it from running, if it is something that somebody should know.
    waiting_for: Option<String>,
}

#[derive(Debug, Serialize)]
struct Fault {
    code: String,
    detail: String,
}

impl JobView {
    /// A job that the queue has.
    pub(super) fn queued(status: JobStatus) -> Self {
        let waiting_for = waiting_for(&status);
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
            waiting_for,
        }
    }

    /// A job that has ended.
    pub(super) fn ended(record: JobRecord) -> Self {
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
            error: record.error.map(|(code, detail)| Fault { code, detail }),
            waiting_for: None,
        }
    }
}

fn waiting_for(status: &JobStatus) -> Option<String> {
    match status.state {
        JobState::Available if !status.lane_declared => {
            Some(format!("no running worker declares {}", status.lane))
        }
        JobState::Parked => Some("the tenant may not run jobs now".to_owned()),
        _ => None,
    }
}

fn queue_of(kind: &str) -> Option<&'static str> {
    JobKind::ALL.iter().find(|known| known.as_str() == kind).map(|known| known.policy().queue)
}
