//! What makes a struct a job.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tenant::{Permission, TenantStatus};

/// Which of a tenant's waiting jobs goes first. Between tenants priority means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Somebody is waiting for it.
    High = 0,
    /// The usual.
    #[default]
    Normal = 1,
    /// When there is nothing better to do.
    Low = 2,
    /// Maintenance.
    Background = 3,
}

impl Priority {
    /// The list of the tenant's queue that holds the job: 0 is served first.
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The priority of a list.
    #[must_use]
    pub const fn from_level(level: u32) -> Self {
        match level {
            0 => Self::High,
            1 => Self::Normal,
            2 => Self::Low,
            _ => Self::Background,
        }
    }

    /// The Open Job Spec `priority`: a higher number goes first, 0 is normal.
    #[must_use]
    pub const fn number(self) -> i32 {
        1 - self as i32
    }

    /// The priority whose Open Job Spec number is nearest to `number`.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            1.. => Self::High,
            0 => Self::Normal,
            -1 => Self::Low,
            _ => Self::Background,
        }
    }
}

/// A kind of work: a payload with a name and a policy. Only the name has to be said.
///
/// ```
/// use jobs::Job;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct SendInvoice {
///     invoice_id: u64,
/// }
///
/// impl Job for SendInvoice {
///     const TYPE: &'static str = "invoice.send";
/// }
/// ```
///
/// The payload holds ids, never rows: the handler reads what it needs when it runs, so a job that waited sees
/// the world as it is then. It never holds the tenant: the stamp does.
///
/// Running a job twice must have the effect of running it once, because delivery is at least once.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// Stable name on the wire, `thing.verb`. Code may be renamed, this may not.
    const TYPE: &'static str;
    /// Version of the payload. Raise it when an old worker could not read a new payload; workers fetch only
    /// the versions they declare.
    const VERSION: u32 = 1;
    /// The Open Job Spec queue that the job waits in.
    const QUEUE: &'static str = "default";
    /// What the actor must be allowed to do, at enqueue and again when the job runs. By default what
    /// administrators and editors may do and viewers may not.
    const PERMISSION: Permission = Permission::JobManage;
    /// The tenant status in which the job may run.
    const RUNS_WHILE: TenantStatus = TenantStatus::Active;
    /// Whether the knowledge base of the stamp has to be there and in use.
    const NEEDS_KB: bool = true;
    /// How often the handler may fail before the job is discarded. At least 1.
    const MAX_ATTEMPTS: u32 = 8;
    /// How long one attempt may take. There is no way to say "for ever".
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Which of the tenant's jobs goes first.
    const PRIORITY: Priority = Priority::Normal;
}

/// The policy of a job type, as a value.
#[derive(Debug, Clone, Copy)]
pub struct JobPolicy {
    /// [`Job::TYPE`]
    pub kind: &'static str,
    /// [`Job::VERSION`]
    pub version: u32,
    /// [`Job::QUEUE`]
    pub queue: &'static str,
    /// [`Job::PERMISSION`]
    pub permission: Permission,
    /// [`Job::RUNS_WHILE`]
    pub runs_while: TenantStatus,
    /// [`Job::NEEDS_KB`]
    pub needs_kb: bool,
    /// [`Job::MAX_ATTEMPTS`]
    pub max_attempts: u32,
    /// [`Job::TIMEOUT`]
    pub timeout: Duration,
}

impl JobPolicy {
    /// The policy of `J`.
    #[must_use]
    pub const fn of<J: Job>() -> Self {
        Self {
            kind: J::TYPE,
            version: J::VERSION,
            queue: J::QUEUE,
            permission: J::PERMISSION,
            runs_while: J::RUNS_WHILE,
            needs_kb: J::NEEDS_KB,
            max_attempts: J::MAX_ATTEMPTS,
            timeout: J::TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_survive_the_wire() {
        for priority in [Priority::High, Priority::Normal, Priority::Low, Priority::Background] {
            assert_eq!(Priority::from_number(priority.number()), priority);
        }
        assert_eq!(Priority::default().number(), 0);
    }
}
