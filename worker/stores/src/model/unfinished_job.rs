use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::TenantId;
use jobs::webhook::{EventId, WebhookId};

/// An accepted job that the queue should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedKey {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The job.
    pub job_id: JobId,
    /// Whether the queue did not have it when it was looked for last.
    pub is_missing: bool,
}

/// What the catalog knows of a job that the queue should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedJob {
    /// The job.
    pub id: JobId,
    /// The signed envelope. It grants no access.
    pub wire: String,
    /// How often the queue got it again.
    pub again: u32,
    /// When the queue got it last.
    pub placed_at: DateTime<Utc>,
    /// Whether a document waits for it, or for what it left.
    pub is_waited_for: bool,
    /// Whether there is a record that it ended.
    pub has_ended: bool,
}

/// A delivery of a webhook that the queue should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedDelivery {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// The endpoint.
    pub webhook: WebhookId,
    /// The event.
    pub event: EventId,
    /// Its job.
    pub job: JobId,
}
