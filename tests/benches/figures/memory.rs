//! What a waiting job and an idle tenant take up in Redis, and whether it grows at a constant rate.

use std::time::{Duration, Instant};

use anyhow::Result;
use jobs::queue::Queue;

use super::drain::CONCURRENCY;
use super::drained::drain;
use super::latency::empty;
use super::running::{Producer, Worker, WorkerPlan, ids};
use crate::child::Way;
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::delivery;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, float, length};
use crate::harness::workload::{Source, Wait};

const JOBS: u64 = 100_000;
/// More than a shard remembers totals and ended jobs of, and whole generations of them.
const TENANTS: usize = 30_000;
/// Jobs of one tenant after those of the many.
const MORE: u64 = 100;
const PER_SECOND: f64 = 2_000.0;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    let place = ("memory", Persistence::Off.name());
    let (mut waiting, mut idle, mut growth) = (Sample::default(), Sample::default(), Sample::default());
    for run in 1..=bench.runs {
        progress(&format!("memory, run {run}"));
        waiting.add(per_waiting_job(bench).await?);
        idle.add(per_idle_tenant(bench).await?);
    }
    progress(&format!("memory at a constant rate, {} minutes", bench.minutes));
    growth.add(growth_percent(bench).await?);
    bench.report.add(
        place,
        "waiting job, beyond its envelope",
        "bytes",
        waiting,
        Some(Target::AtMost(250.0)),
    );
    bench.report.add(
        place,
        "tenant without settings, after its jobs",
        "bytes",
        idle,
        // A batch more or less in a generation is as much.
        Some(Target::AtMost(5.0)),
    );
    let what = format!("growth over {} min at {PER_SECOND} jobs/s", bench.minutes);
    bench.report.add(place, what, "%", growth, Some(Target::AtMost(2.0)));
    Ok(())
}

async fn per_waiting_job(bench: &Bench) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    let source = Source::connect(server.url(), &bench.keys, 100).await?;
    source.share().await?;
    let envelope = source.stamp(0, &Wait::new(JOBS, 0))?.wire().len();
    let before = server.used_memory().await?;
    source.fill(JOBS, 0).await?;
    Ok((server.used_memory().await? - before) / float(JOBS) - length(envelope))
}

/// After each of many tenants had one job, when the shard already remembers of others as much as it ever does, and a
/// tenant that went on has had as much of the workers since: what a tenant had is remembered until then.
async fn per_idle_tenant(bench: &Bench) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    let source = Source::connect(server.url(), &bench.keys, 2 * TENANTS).await?;
    let mut used = Vec::new();
    for first in [0, TENANTS] {
        let jobs = TENANTS as u64;
        let pushed =
            source.fill_with(jobs, |n| (first + usize::try_from(n).unwrap_or(0), Wait::new(n, 0))).await?;
        drain(bench, &server, (2 * TENANTS, CONCURRENCY), &pushed, 0).await?;
        let more = source.fill_with(MORE, |n| (first, Wait::new(jobs + n, 0))).await?;
        drain(bench, &server, (2 * TENANTS, CONCURRENCY), &more, 0).await?;
        tidy(&source.queue).await?;
        used.push(server.used_memory().await?);
    }
    Ok((used[1] - used[0]) / length(TENANTS))
}

/// What workers do page by page, every few seconds: rows of tenants that have nothing go.
async fn tidy(queue: &Queue) -> Result<()> {
    let mut cursor = "0".to_owned();
    loop {
        cursor = queue.heal(0, &cursor, 200).await?.cursor;
        if cursor == "0" {
            return Ok(());
        }
    }
}

/// From the first quarter to the last, after a start that is left out.
async fn growth_percent(bench: &Bench) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    Source::connect(server.url(), &bench.keys, 100).await?.share().await?;
    let seconds = bench.minutes * 60.0;
    let plan = WorkerPlan { tenants: 100, concurrency: 100, expect: 0, place: Place::Worker };
    let mut worker = Worker::start(bench, &server, &plan)?;
    let way = Way::Steady { per_second: PER_SECOND, seconds, work_ms: 1, first_tenant: 0 };
    let mut producer = Producer::start(bench, &server, 100, way)?;
    worker.go()?;
    producer.go()?;
    let (start, mut used) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds - 1.0 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        used.push(server.used_memory().await?);
    }
    let (_, pushed) = producer.done()?;
    empty(&server).await?;
    delivery::check(&pushed, &ids(&worker.stop()?))?;
    let used = &used[used.len() / 6..];
    let mean = |values: &[f64]| values.iter().sum::<f64>() / length(values.len());
    let (first, last) = (mean(&used[..used.len() / 4]), mean(&used[used.len() - used.len() / 4..]));
    Ok((last / first - 1.0) * 100.0)
}
