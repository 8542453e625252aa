use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::Envelope;
use jobs::queue::{Inspected, JobStatus, KeptEntry};
use jobs::tenant::KbId;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::job_view::Fault;

/// A job that will not run by itself, in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedDeadLetter")]
pub(super) struct KeptRow {
    /// Null when it is the id of another tenant's job.
    id: Option<JobId>,
    #[serde(rename = "type")]
    kind: Option<String>,
    queue: Option<String>,
    created_at: Option<DateTime<Utc>>,
    /// Since when it will not run.
    since: DateTime<Utc>,
    error: Fault,
    kb_id: Option<KbId>,
}

impl KeptRow {
    pub(super) fn of(KeptEntry { job, said, has_foreign_id }: KeptEntry) -> Self {
        let (said, kb_id) = said.map(|said| (said.envelope, said.kb)).unzip();
        Self {
            id: (!has_foreign_id).then_some(job.id),
            created_at: said.as_ref().map(|said| said.meta.created_at),
            queue: said.as_ref().map(|said| said.queue.clone()),
            kind: said.map(|said| said.kind),
            since: job.since,
            error: Fault { code: job.reason.code, detail: job.reason.text },
            kb_id: kb_id.flatten(),
        }
    }
}

/// Jobs that will not run by themselves, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetterPage")]
pub(super) struct KeptPage {
    pub(super) jobs: Vec<KeptRow>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}

/// Everything that is known of a job that will not run by itself, but its stamp.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub(super) struct KeptView {
    id: JobId,
    /// `discarded` or `quarantined`.
    state: &'static str,
    since: Option<DateTime<Utc>>,
    /// Attempts that were begun and not interrupted.
    attempts: u32,
    /// Attempts whose worker died.
    deaths: u32,
    /// Attempts that ended because a worker was stopped.
    interruptions: u32,
    error: Option<Fault>,
    kb_id: Option<KbId>,
    /// What it was to do, in the words of the Open Job Spec.
    #[schemars(with = "Option<Map<String, Value>>")]
    job: Option<Envelope>,
}

impl KeptView {
    pub(super) fn of(status: JobStatus, said: Option<Inspected>) -> Self {
        Self {
            id: status.id,
            state: status.state.as_str(),
            since: status.at,
            attempts: status.attempts,
            deaths: status.deaths,
            interruptions: status.interruptions,
            error: status.reason.map(|reason| Fault { code: reason.code, detail: reason.text }),
            kb_id: said.as_ref().and_then(|said| said.kb.clone()),
            job: said.map(|said| said.envelope),
        }
    }
}

/// A job that was started again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Redelivery {
    pub(super) job_id: JobId,
    /// Where the job is shown.
    pub(super) location: String,
}

/// How many jobs were started again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RedriveReport {
    pub(super) started: usize,
    /// Those that were not, because another job has their unique key.
    pub(super) unique_key_taken: usize,
}

/// How many jobs were thrown away.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PurgeReport {
    pub(super) purged: u64,
}
