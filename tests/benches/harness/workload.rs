//! The jobs and the tenants that every figure uses.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jobs::clock::SystemClock;
use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::queue::{PartitionShare, Queue};
use jobs::tenant::{Permission, TenantContext, TenantId};
use jobs::{Job, JobId};
use serde::{Deserialize, Serialize};

/// Size of the arguments as JSON.
pub(crate) const ARGS_BYTES: usize = 300;
/// Jobs in one bulk push.
pub(crate) const SLICE: usize = 200;

/// A job that waits for a while and does nothing else.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wait {
    pub(crate) n: u64,
    pub(crate) work_ms: u32,
    pub(crate) pad: String,
}

impl Job for Wait {
    const TYPE: &'static str = "bench.wait";
    const QUEUE: &'static str = "bench";
    const PERMISSION: Permission = Permission::DocumentCreate;
    const TIMEOUT: Duration = Duration::from_secs(60);
}

impl Wait {
    /// Job number `n`, of exactly [`ARGS_BYTES`].
    pub(crate) fn new(n: u64, work_ms: u32) -> Self {
        let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
        let bare = r#"{"n":,"work_ms":,"pad":""}"#.len() + digits(n) + digits(work_ms.into());
        Self { n, work_ms, pad: "x".repeat(ARGS_BYTES - bare) }
    }
}

/// Tenant number `index`.
pub(crate) fn tenant(index: usize) -> TenantId {
    format!("tenant-{index}").parse().expect("letters, a dash and digits are a tenant id")
}

/// The number in the name that [`tenant`] made.
pub(crate) fn tenant_index(tenant: &TenantId) -> u32 {
    tenant.as_str().strip_prefix("tenant-").and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

/// The producer of jobs.
pub(crate) struct Source {
    pub(crate) queue: Queue,
    stamper: Stamper,
    contexts: Vec<TenantContext>,
}

impl Source {
    pub(crate) async fn connect(url: String, keys: &str, tenants: usize) -> Result<Self> {
        let queue = Queue::connect(jobs::queue::config(url.into())).await?;
        let stamper = Stamper::new(StampKeys::parse(&keys.to_owned().into())?, Arc::new(SystemClock));
        let contexts = (0..tenants).map(|index| TenantContext::for_tests(tenant(index).as_str())).collect();
        Ok(Self { queue, stamper, contexts })
    }

    pub(crate) fn stamp(&self, tenant: usize, job: &Wait) -> Result<StampedJob> {
        let context = &self.contexts[tenant % self.contexts.len()];
        Ok(self.stamper.stamp(context, job, EnqueueOptions::default())?)
    }

    /// Gives every tenant a weight, a cap and a rate, none of which is in the way of these jobs.
    pub(crate) async fn share(&self) -> Result<()> {
        let calls = (0..self.contexts.len()).map(|index| async move {
            let weight = u32::try_from(1 + index % 4)?;
            let share = PartitionShare {
                weight: Some(weight),
                cap: Some(1_000),
                interval_ms: Some(1),
                burst: Some(10_000_000),
                ..PartitionShare::default()
            };
            anyhow::Ok(self.queue.partition_set(&tenant(index), share).await?)
        });
        stream::iter(calls).buffer_unordered(64).try_collect().await
    }

    /// Pushes `jobs` equal jobs over all tenants, evenly. Returns their ids. Each slice belongs to one tenant, as far
    /// as each has that many: a program that enqueues in bulk does so for one tenant.
    pub(crate) async fn fill(&self, jobs: u64, work_ms: u32) -> Result<Vec<JobId>> {
        let tenants = self.contexts.len();
        let in_a_row = usize::try_from(jobs)?.div_euclid(tenants).clamp(1, SLICE);
        let whose = |n: u64| usize::try_from(n).unwrap_or(0) / in_a_row % tenants;
        self.fill_with(jobs, |n| (whose(n), Wait::new(n, work_ms))).await
    }

    /// Pushes `jobs` jobs that `make` tells with their tenants. Their ids.
    pub(crate) async fn fill_with(
        &self,
        jobs: u64,
        make: impl Fn(u64) -> (usize, Wait),
    ) -> Result<Vec<JobId>> {
        let make = &make;
        let slices = (0..jobs).step_by(SLICE).map(|first| async move {
            let end = jobs.min(first + SLICE as u64);
            let stamped = (first..end).map(|n| {
                let (tenant, job) = make(n);
                self.stamp(tenant, &job)
            });
            let stamped = stamped.collect::<Result<Vec<_>>>()?;
            let accepted = self.queue.push(&stamped).await?.accepted;
            anyhow::ensure!(
                accepted == stamped.len(),
                "only {accepted} of {} jobs were accepted",
                stamped.len()
            );
            Ok(stamped.iter().map(StampedJob::id).collect::<Vec<_>>())
        });
        let ids: Vec<Vec<JobId>> = stream::iter(slices).buffered(4).try_collect().await?;
        Ok(ids.concat())
    }
}
