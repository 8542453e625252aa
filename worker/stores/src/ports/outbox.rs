use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::TenantId;

use super::StoreResult;

/// A job that was accepted and that the queue may not have yet. Bytes without authority: the relay passes
/// them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// The job.
    pub job_id: JobId,
    /// The signed envelope.
    pub wire: String,
}

/// Reads every tenant's outbox and nothing else of theirs.
#[async_trait::async_trait]
pub trait OutboxRelay: Send + Sync {
    /// Rows that have lain for at least `age`, oldest first. At most `limit`.
    async fn outbox_due(&self, now: DateTime<Utc>, age: Duration, limit: u32) -> StoreResult<Vec<OutboxRow>>;

    /// Removes rows because the queue has them.
    async fn outbox_done(&self, rows: &[OutboxRow]) -> StoreResult<()>;

    /// Removes a row that the queue will never take, and keeps it with the reason for people to look at.
    async fn outbox_reject(&self, row: &OutboxRow, reason: &str, now: DateTime<Utc>) -> StoreResult<()>;
}
