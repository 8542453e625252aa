//! The trait of job types.

use std::time::Duration;

pub use fair_queue::{Lane, Priority};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::Unique;
use crate::tenant::{Permission, TenantStatus};

/// A job type: a payload with a name and a policy. Only the name is required.
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
/// The payload holds ids, never rows: the handler reads the current rows when it runs, however long the job waited. It
/// never holds the tenant: the stamp does.
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
    /// Its priority among the tenant's jobs of the same lane.
    const PRIORITY: Priority = Priority::Normal;
    /// Its lane among the tenant's jobs, when nothing else is said. A child of a job has its parent's.
    const LANE: Lane = Lane::Interactive;
    /// What keeps a second job of the type out of the queue, unless who enqueues it says otherwise.
    const UNIQUE: Option<Unique> = None;
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
