//! Whether a job costs the same beside idle tenants, capped tenants and a long backlog, and how long the
//! queue's functions keep Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobs::JobId;
use jobs::queue::{FetchRequest, Fetched, PartitionShare, Queue, QueueConfig};

use super::drain::CONCURRENCY;
use super::drained::{Drained, drain};
use crate::harness::bench::Bench;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, float};
use crate::harness::workload::{Source, Wait, tenant};

const JOBS: u64 = 100_000;

/// Beside what the jobs are drained.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    IdleTenants,
    CappedTenants,
    LongBacklog,
}

impl Beside {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "small case",
            Self::IdleTenants => "100k idle tenants",
            Self::CappedTenants => "10k tenants, 99.5 % capped",
            Self::LongBacklog => "1M backlog",
        }
    }
}

#[derive(Default)]
struct Taken {
    cost: Sample,
    functions: Sample,
    p99: Sample,
    longest: Sample,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    let place = ("flatness", Persistence::Off.name());
    let mut small = f64::NAN;
    for beside in [Beside::Nothing, Beside::IdleTenants, Beside::CappedTenants, Beside::LongBacklog] {
        let mut taken = Taken::default();
        for run in 1..=bench.runs {
            progress(&format!("flatness, {}, run {run}", beside.name()));
            let drained = once(bench, beside).await?;
            taken.cost.add(1e6 / drained.per_second);
            taken.functions.add(drained.functions_us);
            taken.p99.add(drained.server.p99_us / 1_000.0);
            taken.longest.add(drained.server.longest_us / 1_000.0);
        }
        let (name, median) = (beside.name(), taken.cost.median());
        bench.report.add(place, format!("{name}: cost"), "us/job", taken.cost, None);
        bench.report.add(
            place,
            format!("{name}: fetch and finish functions"),
            "us/job",
            taken.functions,
            None,
        );
        if matches!(beside, Beside::Nothing) {
            small = median;
        } else {
            let ratio = Sample { values: vec![median / small] };
            bench.report.add(
                place,
                format!("{name}: times the small case"),
                "x",
                ratio,
                Some(Target::AtMost(1.5)),
            );
        }
        let what = format!("{name}: one function call, p99");
        bench.report.add(place, what, "ms", taken.p99, Some(Target::AtMost(1.0)));
        let what = format!("{name}: one function call, longest");
        bench.report.add(place, what, "ms", taken.longest, Some(Target::AtMost(3.0)));
    }
    Ok(())
}

async fn once(bench: &Bench, beside: Beside) -> Result<Drained> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    let source = |tenants| Source::connect(server.url(), &bench.keys, tenants);
    match beside {
        Beside::Nothing => {
            let source = source(100).await?;
            source.share().await?;
            drain(bench, &server, (100, CONCURRENCY), &source.fill(JOBS, 0).await?, 0).await
        }
        Beside::IdleTenants => {
            source(100_000).await?.share().await?;
            let pushed = source(100).await?.fill(JOBS, 0).await?;
            drain(bench, &server, (100, CONCURRENCY), &pushed, 0).await
        }
        Beside::LongBacklog => {
            let source = source(100).await?;
            source.share().await?;
            drain(bench, &server, (100, CONCURRENCY), &source.fill(10 * JOBS, 0).await?, 0).await
        }
        Beside::CappedTenants => beside_capped(bench, &server, &source(10_000).await?).await,
    }
}

/// Tenants from number 50 on have a cap of one, a running job, and four that wait behind it.
async fn beside_capped(bench: &Bench, server: &RedisChild, source: &Source) -> Result<Drained> {
    let (free, all) = (50, 10_000);
    source.share().await?;
    for index in free..all {
        let share = PartitionShare { cap: Some(1), ..PartitionShare::default() };
        source.queue.partition_set(&tenant(index), share).await?;
    }
    let capped = u64::try_from(all - free)?;
    let stuck = 5 * capped;
    let of_capped = |n: u64| (free + usize::try_from(n % capped).unwrap_or(0), Wait::new(n, 0));
    source.fill_with(stuck, of_capped).await?;
    let lease = Duration::from_secs(600);
    let queue = Queue::connect(QueueConfig { lease, ..jobs::queue::config(server.url().into()) }).await?;
    let queue = Arc::new(queue);
    hold(&queue, capped).await?;
    let of_free = |n: u64| (usize::try_from(n).unwrap_or(0) % free, Wait::new(n, 0));
    let pushed: Vec<JobId> = source.fill_with(JOBS, of_free).await?;
    drain(bench, server, (all, CONCURRENCY), &pushed, stuck).await
}

/// Claims `jobs` jobs for good.
async fn hold(queue: &Queue, jobs: u64) -> Result<()> {
    let (mut held, mut attempt) = (0, 0);
    let skills = [jobs::queue::skill_of::<Wait>()];
    while held < jobs {
        attempt += 1;
        let request = FetchRequest {
            worker: "holder",
            attempt,
            shard: 0,
            turn: None,
            skills: &skills,
            limit: 200,
            quantum: 10,
        };
        match queue.fetch(request).await? {
            Fetched::Claim(claim) => held += claim.jobs.len() as u64,
            Fetched::Nothing { .. } => anyhow::bail!("only {held} of {jobs} jobs could be held"),
        }
    }
    anyhow::ensure!(
        (float(held) - float(jobs)).abs() < 0.5,
        "a cap of one let {held} jobs of {jobs} tenants run"
    );
    Ok(())
}
