//! A claimed job of either queue.

use fair_queue::{ClaimedJob, FetchedJob, JobId};

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
            tenant: job.partition.to_string(),
            fence,
            handle: Handle::Redis(job),
        }
    }

    pub(super) fn memory(job: FetchedJob) -> Self {
        Self { id: job.id, tenant: job.partition.to_string(), fence: job.fence, handle: Handle::Memory(job) }
    }

    /// Whether it came as it was pushed.
    pub(super) fn carries(&self, payload: &[u8]) -> bool {
        match &self.handle {
            Handle::Redis(job) => job.record.as_ref().is_some_and(|record| record.ends_with(payload)),
            Handle::Memory(job) => *job.payload == *payload,
        }
    }
}

pub(super) fn ids(jobs: &[Claimed]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
