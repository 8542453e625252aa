//! What one tenant with a long backlog of equal jobs does to the waits of a hundred light ones.

use std::time::Duration;

use anyhow::Result;

use super::latency::{empty, wait_ms};
use super::running::{Producer, Worker, WorkerPlan};
use crate::child::Way;
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::delivery;
use crate::harness::records::number;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, quantile};
use crate::harness::workload::{Source, Wait};

const LIGHT: usize = 100;
const CONCURRENCY: usize = 100;
const BACKLOG: u64 = 200_000;
const WORK_MS: u32 = 10;
/// The backlog lasts longer at 100 jobs of 10 ms at a time.
const SECONDS: f64 = 15.0;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    let place = ("neighbour", Persistence::Off.name());
    let (mut alone, mut beside, mut ratio) = (Sample::default(), Sample::default(), Sample::default());
    for run in 1..=bench.runs {
        progress(&format!("neighbour, run {run}"));
        let without = p99_ms(bench, 0).await?;
        let with = p99_ms(bench, BACKLOG).await?;
        alone.add(without);
        beside.add(with);
        ratio.add(with / without);
    }
    bench.report.add(place, "light tenants' p99 wait, alone", "ms", alone, None);
    bench.report.add(place, "light tenants' p99 wait, beside a 200k backlog", "ms", beside, None);
    bench.report.add(place, "times the wait alone", "x", ratio, Some(Target::AtMost(1.5)));
    Ok(())
}

async fn p99_ms(bench: &Bench, backlog: u64) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    // Tenant 0 is the heavy one.
    let source = Source::connect(server.url(), &bench.keys, LIGHT + 1).await?;
    let heavy = source.fill_with(backlog, |n| (0, Wait::new(n, WORK_MS))).await?;
    let plan = WorkerPlan { tenants: LIGHT + 1, concurrency: CONCURRENCY, expect: 0, place: Place::Worker };
    let mut worker = Worker::start(bench, &server, &plan)?;
    let way = Way::Steady { per_second: 100.0, seconds: SECONDS, work_ms: WORK_MS, first_tenant: 1 };
    let mut producer = Producer::start(bench, &server, LIGHT + 1, way)?;
    worker.go()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    producer.go()?;
    let (_, mut pushed) = producer.done()?;
    empty(&server).await?;
    let ran = worker.stop()?;
    for id in heavy {
        pushed.push(number(id)?);
    }
    delivery::check(&pushed, &ran.iter().map(|job| job.id).collect::<Vec<_>>())?;
    let waits: Vec<f64> = ran.iter().filter(|job| job.tenant > 0).map(wait_ms).collect();
    Ok(quantile(&waits, 0.99))
}
