//! What a job says, shown to people.

use super::client::Queue;
use super::error::QueueError;
use super::record;
use crate::envelope::{Envelope, WireEnvelope};
use crate::id::JobId;
use crate::tenant::{KbId, TenantId};

/// What a job in the queue says of itself. Good enough to look at, not to run: its signature was not checked, and its
/// stamp stays where it is.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What it says.
    pub envelope: Envelope,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
}

/// What signed bytes in a tenant's queue say, as far as that is the tenant's business.
pub(super) enum Said {
    /// A job of the tenant's.
    Own(Box<Inspected>),
    /// A job that is stamped for another tenant, with its id if that can be read.
    Foreign(Option<JobId>),
    /// Neither can be read, or the job is not the one that was stamped: its contents may be anybody's.
    Damaged,
}

impl Said {
    pub(super) fn of(tenant: &TenantId, wire: &str) -> Self {
        let Ok(wire) = serde_json::from_str::<WireEnvelope>(wire) else { return Self::Damaged };
        let Some(claimed) = wire.claimed() else { return Self::Damaged };
        if claimed.tenant != tenant.as_str() {
            return Self::Foreign(claimed.id.parse().ok());
        }
        let envelope = serde_json::from_str(wire.job.get()).ok().filter(|_| claimed.is_of(&wire.job));
        envelope.map_or(Self::Damaged, |envelope| Self::Own(Box::new(Inspected { envelope, kb: claimed.kb })))
    }
}

impl Inspected {
    /// Reads signed bytes in the queue of `tenant`; `None` when they are damaged, or stamped for another tenant.
    #[must_use]
    pub fn read(tenant: &TenantId, wire: &str) -> Option<Self> {
        match Said::of(tenant, wire) {
            Said::Own(said) => Some(*said),
            Said::Foreign(_) | Said::Damaged => None,
        }
    }
}

impl Queue {
    /// What jobs of a tenant say, in order; `None` for one that the tenant does not have in the queue, whose record is
    /// damaged, or that is stamped for another tenant.
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
            Inspected::read(tenant, record.wire)
        };
        Ok(records.into_iter().map(read).collect())
    }
}
