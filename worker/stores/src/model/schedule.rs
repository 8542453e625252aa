use chrono::{DateTime, Utc};
use jobs::envelope::{Envelope, StampedJob, WireEnvelope};
use jobs::tenant::{KbId, TenantId};

use super::OverQuota;

/// A recurring job of one knowledge base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name inside the knowledge base.
    pub name: String,
    /// The knowledge base.
    pub kb_id: KbId,
    /// Five-field cron expression.
    pub cron: String,
    /// IANA time zone in which the expression is read.
    pub time_zone: String,
    /// The type of the job it makes.
    pub kind: String,
    /// When it fires next.
    pub next_fire_at: DateTime<Utc>,
    /// When it fired last.
    pub last_fire_at: Option<DateTime<Utc>>,
}

/// A schedule to be stored.
#[derive(Debug)]
pub struct NewSchedule {
    /// Its name inside the knowledge base.
    pub name: String,
    /// The knowledge base.
    pub kb_id: KbId,
    /// Five-field cron expression.
    pub cron: String,
    /// IANA time zone in which the expression is read.
    pub time_zone: String,
    /// When it fires first.
    pub next_fire_at: DateTime<Utc>,
    /// The job it makes, stamped by whoever made the schedule: each firing verifies it again and stamps a
    /// copy.
    pub template: StampedJob,
    /// Who made it: the schedule may do what they may still do.
    pub created_by: String,
}

impl NewSchedule {
    /// The type of the job that the template makes.
    pub(crate) fn kind(&self) -> Result<String, serde_json::Error> {
        let wire: WireEnvelope = serde_json::from_str(self.template.wire())?;
        serde_json::from_str::<Envelope>(wire.job.get()).map(|envelope| envelope.kind)
    }
}

/// A schedule whose time has come. Not scoped to a tenant by type, hence without authority: the scheduler has
/// to verify the template like any envelope.
#[derive(Debug, Clone)]
pub struct DueSchedule {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The knowledge base.
    pub kb_id: KbId,
    /// Its name inside the knowledge base.
    pub name: String,
    /// Five-field cron expression.
    pub cron: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The time that has come.
    pub fire_at: DateTime<Utc>,
    /// The signed template.
    pub template: String,
}

/// What became of a due schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firing {
    /// Its job is in the outbox.
    Fired,
    /// Another worker fired it, or it was changed.
    NotDue,
    /// The tenant may not have another job today; the schedule waits for its next time.
    OverQuota(OverQuota),
}
