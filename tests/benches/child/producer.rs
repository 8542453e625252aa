//! The benched producer: stamps and pushes, in bulk, one by one from many tasks, or at a steady rate.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use jobs::JobId;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::commands::{answer, cpu_seconds, listen};
use crate::harness::records::{self, Ran};
use crate::harness::sample::float;
use crate::harness::workload::{Source, Wait};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProducerSpec {
    pub(crate) url: String,
    pub(crate) keys: String,
    pub(crate) tenants: usize,
    pub(crate) way: Way,
    /// The file to write the ids to.
    pub(crate) records: PathBuf,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Way {
    /// At full speed, in slices.
    Bulk { jobs: u64 },
    /// As fast as it goes, one job in a call, from so many tasks.
    Single { jobs: u64, tasks: u64 },
    /// Single jobs, at this rate for this time. Tenants before `first_tenant` get none.
    Steady { per_second: f64, seconds: f64, work_ms: u32, first_tenant: usize },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Produced {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

pub(crate) async fn run(spec: ProducerSpec) -> Result<()> {
    let mut lines = listen();
    let source = Arc::new(Source::connect(spec.url, &spec.keys, spec.tenants).await?);
    answer(&"ready")?;
    ensure!(lines.recv().await.as_deref() == Some("go"), "the parent did not say go");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    // On the runtime's own thread: the main one would be a second on the same core.
    let ids = tokio::spawn(produce(source, spec.way, spec.tenants)).await??;
    let produced = Produced { seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - cpu };
    let none = Ran { id: 0, tenant: 0, created_us: 0, started_us: 0, ended_us: 0 };
    let ran = ids.into_iter().map(|id| anyhow::Ok(Ran { id: records::number(id)?, ..none }));
    records::write(&spec.records, &ran.collect::<Result<Vec<_>>>()?)?;
    answer(&produced)
}

async fn produce(source: Arc<Source>, way: Way, tenants: usize) -> Result<Vec<JobId>> {
    match way {
        Way::Bulk { jobs } => source.fill(jobs, 0).await,
        Way::Single { jobs, tasks } => single(&source, jobs, tasks, tenants).await,
        Way::Steady { per_second, seconds, work_ms, first_tenant } => {
            let pace = Pace { per_second, seconds, work_ms, tenants: (first_tenant, tenants) };
            steady(&source, pace).await
        }
    }
}

async fn push(source: &Source, tenant: usize, job: &Wait) -> Result<JobId> {
    let stamped = source.stamp(tenant, job)?;
    let id = stamped.id();
    let accepted = source.queue.push(std::slice::from_ref(&stamped)).await?.accepted;
    ensure!(accepted == 1, "a new job was not accepted");
    Ok(id)
}

async fn single(source: &Arc<Source>, jobs: u64, tasks: u64, tenants: usize) -> Result<Vec<JobId>> {
    let next = Arc::new(AtomicU64::new(0));
    let tasks = (0..tasks).map(|_| {
        let (source, next) = (Arc::clone(source), Arc::clone(&next));
        tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= jobs {
                    return anyhow::Ok(ids);
                }
                ids.push(push(&source, usize::try_from(n)? % tenants, &Wait::new(n, 0)).await?);
            }
        })
    });
    let ids = try_join_all(tasks).await?.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(ids.concat())
}

struct Pace {
    per_second: f64,
    seconds: f64,
    work_ms: u32,
    tenants: (usize, usize),
}

/// Every millisecond the jobs that are due by then, each in a call of its own.
async fn steady(source: &Arc<Source>, pace: Pace) -> Result<Vec<JobId>> {
    let Pace { per_second, seconds, work_ms, tenants: (first, end) } = pace;
    let start = Instant::now();
    let (mut pushes, mut ids) = (JoinSet::new(), Vec::new());
    let mut n: u64 = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while start.elapsed().as_secs_f64() < seconds {
        tick.tick().await;
        while float(n) < start.elapsed().as_secs_f64() * per_second {
            let source = Arc::clone(source);
            let tenant = first + usize::try_from(n)? % (end - first);
            pushes.spawn(async move { push(&source, tenant, &Wait::new(n, work_ms)).await });
            n += 1;
        }
        while let Some(id) = pushes.try_join_next() {
            ids.push(id??);
        }
    }
    while let Some(id) = pushes.join_next().await {
        ids.push(id??);
    }
    Ok(ids)
}
