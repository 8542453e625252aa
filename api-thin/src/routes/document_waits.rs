//! The job that a document waits for: one that failed and is tried again, that waits for its time or its tenant, or
//! that will not run by itself.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::{JobFilter, JobState, JobStatus, QueueError};
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{Document, DocumentFault, DocumentStatus};

use crate::state::ApiState;

/// A job, and why it does not run now.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AwaitedJob {
    job_id: JobId,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    /// How often it failed.
    attempts: u32,
    /// When it is due, if it waits for its time or for its next attempt.
    due_at: Option<DateTime<Utc>>,
    /// What the last attempt failed with, or why it will not run by itself.
    error: Option<DocumentFault>,
}

impl AwaitedJob {
    fn of(status: JobStatus) -> Self {
        let kind = status.skill.split('@').next().unwrap_or_default().to_owned();
        let waits = matches!(status.state, JobState::Scheduled | JobState::Retryable | JobState::Parked);
        Self {
            job_id: status.id,
            kind,
            state: status.state.to_string(),
            attempts: status.attempts,
            due_at: status.at.filter(|_| waits),
            error: status.reason.map(|reason| DocumentFault { code: reason.code, detail: reason.text }),
        }
    }
}

/// The job that a document waits for. `None` when its jobs run or wait for a worker, when it has ended, and when the
/// queue does not answer: what is shown besides the document may be missing.
pub(super) async fn awaited(app: &ApiState, tenant: &TenantId, document: &Document) -> Option<AwaitedJob> {
    if !matches!(document.status, DocumentStatus::Pending | DocumentStatus::Processing) {
        return None;
    }
    find(app, tenant, document.job_id).await.ok().flatten().map(AwaitedJob::of)
}

async fn find(app: &ApiState, tenant: &TenantId, job: JobId) -> Result<Option<JobStatus>, QueueError> {
    const WAITS: [JobState; 5] = [
        JobState::Scheduled,
        JobState::Retryable,
        JobState::Parked,
        JobState::Discarded,
        JobState::Quarantined,
    ];
    let queue = app.queue();
    let waiting = |status: &JobStatus| WAITS.contains(&status.state);
    for id in [job, job.continuation()] {
        if let Some(status) = queue.lookup(tenant, id).await?.filter(waiting) {
            return Ok(Some(status));
        }
    }
    // Of its parts only those that are tried again: they are few, and the others run or wait for a worker.
    let states = vec![JobState::Retryable, JobState::Parked];
    let filter = JobFilter { parent: Some(job), states, ..JobFilter::default() };
    let found = queue.list(tenant, &filter, None, 1).await?.jobs.pop();
    match found {
        Some(found) => Ok(queue.lookup(tenant, found.id).await?.filter(waiting)),
        None => Ok(None),
    }
}
