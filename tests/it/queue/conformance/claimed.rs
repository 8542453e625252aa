//! A claimed job of either queue.

use jobs::JobId;
use jobs::queue::{ClaimedJob, FetchedJob};

/// One claimed job.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) id: JobId,
    pub(super) tenant: String,
    pub(super) fence: u64,
    pub(super) handle: Handle,
}

#[derive(Debug, Clone)]
pub(super) enum Handle {
    Redis(ClaimedJob),
    Memory(FetchedJob),
}

impl Claimed {
    pub(super) fn redis(fence: u64, job: ClaimedJob) -> Self {
        Self {
            id: job.id.parse().unwrap(),
            tenant: job.tenant.to_string(),
            fence,
            handle: Handle::Redis(job),
        }
    }

    pub(super) fn memory(job: FetchedJob) -> Self {
        Self { id: job.id, tenant: job.tenant.to_string(), fence: job.fence, handle: Handle::Memory(job) }
    }

    /// The signed bytes that came with it.
    pub(super) fn carries(&self, wire: &str) -> bool {
        match &self.handle {
            Handle::Redis(job) => job.record.as_ref().is_some_and(|record| record.ends_with(wire.as_bytes())),
            Handle::Memory(job) => *job.wire == *wire,
        }
    }
}

pub(super) fn ids(jobs: &[Claimed]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
