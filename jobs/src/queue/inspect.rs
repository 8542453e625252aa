//! What a job says, shown to people.

use super::client::Queue;
use super::error::QueueError;
use super::record;
use crate::envelope::{Envelope, WireEnvelope};
use crate::id::JobId;
use crate::tenant::{KbId, TenantId};

/// What a job in the queue says of itself. Good enough to look at, not to run: nothing about it was checked, and
/// its stamp stays where it is.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What it says.
    pub envelope: Envelope,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
}

impl Inspected {
    /// Reads signed bytes; `None` when they are damaged.
    #[must_use]
    pub fn read(wire: &str) -> Option<Self> {
        let wire: WireEnvelope = serde_json::from_str(wire).ok()?;
        let envelope: Envelope = serde_json::from_str(wire.job.get()).ok()?;
        Some(Self { kb: wire.claimed_kb(), envelope })
    }
}

impl Queue {
    /// What jobs of a tenant say, in order; `None` for one that the tenant does not have in the queue, or whose
    /// record is damaged.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn inspect(
        &self,
        tenant: &TenantId,
        ids: &[JobId],
    ) -> Result<Vec<Option<Inspected>>, QueueError> {
        let ids: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let records = self.records(self.home(tenant), &ids).await?;
        let read = |bytes: Option<Vec<u8>>| {
            let bytes = bytes?;
            let record = record::parse(&bytes).filter(|record| record.tenant == tenant.as_str())?;
            Inspected::read(record.wire)
        };
        Ok(records.into_iter().map(read).collect())
    }
}
