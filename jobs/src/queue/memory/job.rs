use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::envelope::{StampedJob, Until};
use crate::id::JobId;
use crate::job::Priority;
use crate::queue::status::{JobState, Kept};
use crate::queue::worker::FetchedJob;
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
    /// Whether it was kept and started again.
    pub(super) redriven: bool,
    /// The last failure: code, space, text.
    pub(super) note: String,
    /// The unique key that it has, or takes again when it is redriven.
    pub(super) key: Option<(Until, String)>,
    pub(super) place: Place,
    /// What somebody wanted while it runs.
    pub(super) stop: Stop,
    token: CancellationToken,
    called_off: Arc<AtomicBool>,
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

/// Why a running job is to stop, if it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stop {
    /// It was cancelled.
    pub(super) cancelled: bool,
    /// Everything of its tenant was called off.
    pub(super) with_tenant: bool,
}

impl Stop {
    pub(super) const fn is_wanted(self) -> bool {
        self.cancelled || self.with_tenant
    }
}

impl Job {
    pub(super) fn new(job: &StampedJob) -> Self {
        Self {
            tenant: job.tenant.clone(),
            lane: job.lane.clone(),
            priority: job.priority,
            wire: job.wire.as_str().into(),
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            parks: 0,
            redriven: false,
            note: String::new(),
            key: None,
            place: Place::Waiting,
            stop: Stop::default(),
            token: CancellationToken::new(),
            called_off: Arc::default(),
        }
    }

    /// The job's type: a lane is `type@version`.
    pub(super) fn kind(&self) -> &str {
        kind_of(&self.lane)
    }

    pub(super) const fn is_kept(&self) -> bool {
        matches!(self.place, Place::Kept { .. })
    }

    /// What the queue on Redis would keep of it, in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        let Self { tenant, lane, note, wire, .. } = self;
        (16 + lane.len() + tenant.as_str().len() + note.len() + 3 + wire.len()) as u64
    }

    pub(super) fn start(&mut self, id: JobId, fence: u64) -> FetchedJob {
        self.place = Place::Active(fence);
        self.stop = Stop::default();
        self.token = CancellationToken::new();
        self.called_off = Arc::default();
        FetchedJob {
            tenant: self.tenant.clone(),
            id,
            wire: Arc::clone(&self.wire),
            attempts: self.attempts,
            deaths: self.deaths,
            interruptions: self.interruptions,
            parks: self.parks,
            redriven: self.redriven,
            fence,
            cancel: self.token.clone(),
            called_off: Arc::clone(&self.called_off),
        }
    }

    /// Tells whoever runs it to stop.
    pub(super) fn tell_to_stop(&mut self) {
        self.called_off.store(true, Ordering::Release);
        self.token.cancel();
    }
}

pub(super) fn kind_of(lane: &str) -> &str {
    lane.rsplit_once('@').map_or(lane, |(kind, _)| kind)
}
