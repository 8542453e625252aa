//! What a document waits for: the job that works on it, why that does not run now, and when it is due. A document that
//! has not ended always has an answer.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::{Explanation, JobFilter, JobState, PartitionId, QueueError, Whereabouts};
use jobs::types::IngestDocument;
use jobs::{Job as _, error::report};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{Document, DocumentFault, DocumentStatus};

use super::job_filter::OPEN;
use super::jobs::Wait;
use crate::problem::Problem;
use crate::request::{KbCaller, RequiredPermission};
use crate::state::ApiState;

/// A job, and why it does not run now.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AwaitedJob {
    job_id: JobId,
    /// Null when the queue does not have the job.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// As of the job; `unknown` when the queue does not answer, or does not have it.
    #[schemars(with = "super::enumerations::AwaitedJobState")]
    state: String,
    /// How often it failed.
    attempts: u32,
    /// When it is due, if it waits for its time or for its next attempt.
    due_at: Option<DateTime<Utc>>,
    /// What the last attempt failed with, or why it will not run by itself.
    error: Option<DocumentFault>,
    /// What has to happen before it goes on. At least one.
    reasons: Vec<Wait>,
}

impl AwaitedJob {
    fn of(Explanation { status, waits_for }: Explanation) -> Self {
        let waits = matches!(status.state, JobState::Scheduled | JobState::Retryable | JobState::Parked);
        let mut reasons: Vec<Wait> = waits_for.into_iter().map(Wait::from).collect();
        if reasons.is_empty() {
            reasons.push(match status.state {
                JobState::Active => wait("running", "a worker runs it"),
                JobState::Discarded | JobState::Quarantined => wait(
                    "not_by_itself",
                    "it will not run by itself; the document fails for that within a minute",
                ),
                _ => wait("queued", "it is in the queue"),
            });
        }
        Self {
            job_id: status.id,
            kind: status.skill.split('@').next().filter(|kind| !kind.is_empty()).map(str::to_owned),
            state: status.state.to_string(),
            attempts: status.attempts,
            due_at: status.at.filter(|_| waits),
            error: status.reason.map(|reason| DocumentFault { code: reason.code, detail: reason.text }),
            reasons,
        }
    }

    /// A job of which the queue says nothing.
    fn unseen(document: &Document, reason: Wait) -> Self {
        let kind = (document.status == DocumentStatus::Pending).then(|| IngestDocument::TYPE.to_owned());
        Self {
            job_id: document.job_id,
            kind,
            state: "unknown".to_owned(),
            attempts: 0,
            due_at: None,
            error: None,
            reasons: vec![reason],
        }
    }
}

fn wait(code: &'static str, text: &str) -> Wait {
    Wait { code, text: text.to_owned() }
}

/// What a document waits for; `None` when it has ended, be it only since it was read.
///
/// # Errors
/// When the catalog does not answer.
pub(super) async fn awaited<P: RequiredPermission>(
    app: &ApiState,
    who: &KbCaller<P>,
    document: &mut Document,
) -> Result<Option<AwaitedJob>, Problem> {
    if has_ended(document) {
        return Ok(None);
    }
    match find(app, who, document.job_id).await {
        Ok(Some(found)) => {
            let found = if who.only_kb.is_some() { found.without_counts() } else { found };
            return Ok(Some(AwaitedJob::of(found)));
        }
        Ok(None) => {}
        Err(error) => {
            tracing::debug!(error = report(&error), "the queue was not asked what a document waits for");
            let away = wait("queue_away", "the queue does not answer: the work goes on when it does");
            return Ok(Some(AwaitedJob::unseen(document, away)));
        }
    }
    if who.stores.catalog().outbox_has(document.job_id).await? {
        let delivery = "the queue does not have the job yet: it is delivered when the queue answers";
        return Ok(Some(AwaitedJob::unseen(document, wait("delivery", delivery))));
    }
    // It may have ended, or been handed on, since it was read.
    let Some(now) = who.stores.catalog().document(&who.kb.id, &document.id).await? else { return Ok(None) };
    *document = now;
    if has_ended(document) {
        return Ok(None);
    }
    let asked = (PartitionId::clone(who.tenant()), document.job_id);
    let place = app.queue().whereabouts(&[asked]).await.ok().and_then(|mut places| places.pop());
    Ok(Some(AwaitedJob::unseen(
        document,
        match place {
            Some(Whereabouts::There) => {
                wait("parts", "its chunks are with jobs that run or wait behind others of the tenant")
            }
            _ => wait("lost", "the queue has lost its job: it is enqueued again within a minute"),
        },
    )))
}

fn has_ended(document: &Document) -> bool {
    document.status.is_in_graph() || document.status == DocumentStatus::Failed
}

/// The job that works on a document: `job` itself, the continuation of the group that it opened, or a part of that
/// group. Of the parts one that is tried again, if there is one.
async fn find<P: RequiredPermission>(
    app: &ApiState,
    who: &KbCaller<P>,
    job: JobId,
) -> Result<Option<Explanation>, QueueError> {
    let (queue, tenant) = (app.queue(), who.tenant());
    let goes_on =
        |found: &Explanation| !matches!(found.status.state, JobState::Completed | JobState::Cancelled);
    for id in [job, job.continuation()] {
        if let Some(found) = queue.explain(tenant, id).await?.filter(goes_on) {
            return Ok(Some(found));
        }
    }
    for states in [&[JobState::Retryable, JobState::Parked][..], OPEN] {
        let filter = JobFilter { parent: Some(job), states: states.to_vec(), ..JobFilter::default() };
        if let Some(part) = queue.list(tenant, &filter, None, 1).await?.jobs.pop()
            && let Some(found) = queue.explain(tenant, part.id).await?.filter(goes_on)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
