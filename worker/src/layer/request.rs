use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::envelope::{Envelope, Verified};
use jobs::tenant::TenantContext;
use jobs::{JobId, JobPolicy};
use tokio::time::Instant;

use crate::context::JobContext;
use crate::registry::Entry;

/// One attempt at a job that was verified, on its way to its handler.
pub struct JobRequest {
    entry: Entry,
    verified: Arc<Verified>,
    context: Arc<JobContext>,
    redriven: bool,
    deadline: Instant,
}

impl JobRequest {
    pub(crate) fn new(
        entry: Entry,
        verified: Arc<Verified>,
        context: Arc<JobContext>,
        redriven: bool,
    ) -> Self {
        let deadline = Instant::now() + entry.policy.timeout;
        Self { entry, verified, context, redriven, deadline }
    }

    /// Whether the job had been given up and was started again.
    #[must_use]
    pub fn was_redriven(&self) -> bool {
        self.redriven
    }

    /// For whom the job acts.
    #[must_use]
    pub fn tenant(&self) -> &TenantContext {
        self.context.tenant()
    }

    /// The job's type, such as `document.ingest`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.entry.policy.kind
    }

    /// The job.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.context.job_id()
    }

    /// Which attempt this is, 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.context.attempt()
    }

    /// When the job was enqueued.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.envelope().meta.created_at
    }

    /// The policy of the job's type.
    #[must_use]
    pub fn policy(&self) -> &JobPolicy {
        &self.entry.policy
    }

    /// The job as it was enqueued, checked.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.verified.envelope
    }

    /// What the handler will hold: stores, state, cancel token.
    #[must_use]
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// When the attempt has to be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Never shows the arguments.
impl fmt::Debug for JobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("tenant", self.tenant().tenant_id())
            .field("kind", &self.kind())
            .field("job_id", &self.job_id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
