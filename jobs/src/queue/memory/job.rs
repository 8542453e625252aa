use std::sync::Arc;

use crate::envelope::StampedJob;
use crate::id::GroupId;
use crate::job::Priority;
use crate::queue::push;
use crate::queue::status::{JobState, Kept};
use crate::tenant::TenantId;

/// One job that the queue has.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) tenant: TenantId,
    pub(super) lane: String,
    pub(super) priority: Priority,
    pub(super) wire: Arc<str>,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) interruptions: u32,
    pub(super) parks: u32,
    /// The last failure: code, space, text.
    pub(super) note: String,
    /// The group that waits for it.
    pub(super) group: Option<GroupId>,
    pub(super) place: Place,
}

/// Where a job is: in exactly one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    /// Scheduled, retryable or parked, until a time in milliseconds.
    Timer(JobState, i64),
    /// Claimed under this fence.
    Active(u64),
    Kept {
        kept: Kept,
        since_ms: i64,
        /// Code, line end, text.
        why: String,
    },
}

impl Job {
    pub(super) fn new(job: &StampedJob) -> Self {
        let due_ms = push::due_ms(job);
        Self {
            tenant: job.tenant.clone(),
            lane: job.lane.clone(),
            priority: job.priority,
            wire: job.wire.as_str().into(),
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            parks: 0,
            note: String::new(),
            group: None,
            place: Place::Timer(JobState::Scheduled, due_ms),
        }
    }
}
