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
    /// The type of the jobs that it enqueues.
    pub kind: String,
    /// When it fires next.
    pub next_fire_at: DateTime<Utc>,
    /// When it fired last.
    pub last_fire_at: Option<DateTime<Utc>>,
    /// Whether it does not fire for now.
    pub paused: bool,
    /// The actor whose permissions it has: its creator, or who took it over last.
    pub created_by: String,
    /// The last time that it was due and did not fire; `None` when it has fired since.
    pub skipped: Option<Skipped>,
}

/// A time at which a schedule was due and did not fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// When it was due.
    pub at: DateTime<Utc>,
    /// Why: a stable code, such as `actor_forbidden`.
    pub code: String,
    /// The same for people.
    pub detail: String,
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
    /// The job to enqueue, stamped by the schedule's creator: each firing verifies it again and stamps a copy.
    pub template: StampedJob,
    /// The creator: the schedule may do what that actor may still do when it fires.
    pub created_by: String,
}

impl NewSchedule {
    /// The job type of the template.
    pub(crate) fn kind(&self) -> Result<String, serde_json::Error> {
        let wire: WireEnvelope = serde_json::from_str(self.template.wire())?;
        serde_json::from_str::<Envelope>(wire.job.get()).map(|envelope| envelope.kind)
    }
}

/// A due schedule. It is not scoped to a tenant by its type and grants no access: the scheduler has to verify the
/// template like any envelope.
#[derive(Debug, Clone)]
pub struct DueSchedule {
    /// The schedule's tenant.
    pub tenant_id: TenantId,
    /// The knowledge base.
    pub kb_id: KbId,
    /// Its name inside the knowledge base.
    pub name: String,
    /// Five-field cron expression.
    pub cron: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The due time that is fired.
    pub fire_at: DateTime<Utc>,
    /// The signed template.
    pub template: String,
}

/// The outcome of firing a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firing {
    /// Its job is in the outbox.
    Fired,
    /// Another worker fired it first, or the schedule was changed.
    NotDue,
    /// The tenant may have no more jobs today; the schedule waits for its next time.
    OverQuota(OverQuota),
}
