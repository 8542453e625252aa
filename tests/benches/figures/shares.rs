//! Whether tenants get worker time by their weights when their jobs are of very different lengths.

use std::time::Duration;

use anyhow::Result;
use jobs::queue::PartitionShare;

use super::running::{Worker, WorkerPlan};
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::records::Ran;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::Sample;
use crate::harness::workload::{Source, Wait, tenant};

const CONCURRENCY: usize = 64;
/// Weight, and the lengths of the tenant's jobs in milliseconds, in turn.
const TENANTS: [(u32, &[u32]); 8] = [
    (1, &[1]),
    (1, &[10]),
    (2, &[100]),
    (2, &[1_000]),
    (4, &[1, 10, 100, 1_000]),
    (4, &[30]),
    (8, &[300, 3]),
    (8, &[5, 50, 500]),
];
/// Left out at the beginning: until the first jobs end, the queue takes all for short ones, so the tenant whose jobs
/// take a second gets most of the workers at once. It pays that back during this time.
const LEARN: Duration = Duration::from_secs(25);
const WINDOW: Duration = Duration::from_secs(40);

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    let mut worst = Sample::default();
    for run in 1..=bench.runs {
        progress(&format!("shares, run {run}"));
        worst.add(worst_percent(bench).await?);
    }
    let what = "worker seconds, furthest from its weight";
    bench.report.add(("shares", Persistence::Off.name()), what, "%", worst, Some(Target::AtMost(3.0)));
    Ok(())
}

async fn worst_percent(bench: &Bench) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    let source = Source::connect(server.url(), &bench.keys, TENANTS.len()).await?;
    for (index, (weight, lengths)) in TENANTS.iter().enumerate() {
        let share = PartitionShare { weight: Some(*weight), ..PartitionShare::default() };
        source.queue.partition_set(&tenant(index), share).await?;
        source.fill_with(backlog(*weight, lengths), |n| (index, wait(n, lengths))).await?;
    }
    let plan =
        WorkerPlan { tenants: TENANTS.len(), concurrency: CONCURRENCY, expect: 0, place: Place::Worker };
    let mut worker = Worker::start(bench, &server, &plan)?;
    worker.go()?;
    tokio::time::sleep(LEARN + WINDOW).await;
    let ran = worker.stop()?;
    Ok(furthest(&ran))
}

fn wait(n: u64, lengths: &[u32]) -> Wait {
    let turn = usize::try_from(n).unwrap_or(0) % lengths.len();
    Wait::new(n, lengths[turn])
}

/// More jobs than the tenant can get through, were it to get twice its share.
fn backlog(weight: u32, lengths: &[u32]) -> u64 {
    let weights: u32 = TENANTS.iter().map(|(weight, _)| weight).sum();
    let mean_ms =
        f64::from(lengths.iter().sum::<u32>()) / f64::from(u32::try_from(lengths.len()).unwrap_or(1));
    let share_ms = (WINDOW + LEARN).as_secs_f64() * 1_000.0 * 64.0 * f64::from(weight) / f64::from(weights);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count of jobs")]
    let jobs = (2.0 * share_ms / mean_ms) as u64;
    jobs + 100
}

/// By how many percent of its due the tenant that is furthest off got too much or too little.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a minute are far below 2^52")]
fn furthest(ran: &[Ran]) -> f64 {
    let first = ran.iter().map(|job| job.started_us).min().unwrap_or(0);
    let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(0);
    // While jobs are given back at the end, nothing is saturated any more.
    let (start, end) = (first + us(LEARN), first + us(LEARN + WINDOW) - us(Duration::from_secs(2)));
    let mut spent = [0.0; TENANTS.len()];
    for job in ran {
        let inside = (job.ended_us.min(end) - job.started_us.max(start)).max(0);
        spent[job.tenant as usize] += inside as f64;
    }
    let (total, weights) =
        (spent.iter().sum::<f64>(), TENANTS.iter().map(|(weight, _)| f64::from(*weight)).sum::<f64>());
    let off = TENANTS.iter().zip(spent).map(|((weight, _), spent)| {
        let due = f64::from(*weight) / weights;
        ((spent / total - due) / due).abs() * 100.0
    });
    off.fold(0.0, f64::max)
}
