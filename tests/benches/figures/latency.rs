//! From the stamp to the start of the handler: at half load, and from idle.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::running::{Producer, Worker, WorkerPlan, ids};
use crate::child::Way;
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::delivery;
use crate::harness::records::Ran;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, length, quantile};
use crate::harness::workload::Source;

const TENANTS: usize = 100;
const CONCURRENCY: usize = 100;
/// Jobs a second, slow enough that each finds all workers idle.
const IDLE_PER_SECOND: f64 = 20.0;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    for persistence in bench.persistence.clone() {
        let place = ("latency", persistence.name());
        let rate = match bench.rate {
            Some(rate) => rate,
            None => capacity(bench, persistence).await? / 2.0,
        };
        let (mut middle, mut tail, mut idle) = (Sample::default(), Sample::default(), Sample::default());
        for run in 1..=bench.runs {
            progress(&format!("latency, {}, run {run}", persistence.name()));
            let waits = waits_ms(bench, persistence, rate, 5.0).await?;
            middle.add(quantile(&waits, 0.5));
            tail.add(quantile(&waits, 0.99));
            idle.add(quantile(&waits_ms(bench, persistence, IDLE_PER_SECOND, 15.0).await?, 0.99));
        }
        let load = if bench.rate.is_some() { "at" } else { "at half load," };
        let at = format!("{load} {rate:.0} jobs/s");
        bench.report.add(place, format!("{at}: p50"), "ms", middle, Some(Target::AtMost(2.0)));
        bench.report.add(place, format!("{at}: p99"), "ms", tail, Some(Target::AtMost(10.0)));
        bench.report.add(place, "idle to first start: p99", "ms", idle, Some(Target::AtMost(5.0)));
    }
    Ok(())
}

/// Jobs a second that one producer and one worker pass, both on the same core, each job in a call of its own.
async fn capacity(bench: &mut Bench, persistence: Persistence) -> Result<f64> {
    let server = prepared(bench, persistence).await?;
    let jobs = 100_000;
    let plan = WorkerPlan { tenants: TENANTS, concurrency: CONCURRENCY, expect: jobs, place: Place::Worker };
    let mut worker = Worker::start(bench, &server, &plan)?;
    let mut producer = Producer::start(bench, &server, TENANTS, Way::Single { jobs, tasks: 64 })?;
    worker.go()?;
    producer.go()?;
    let (_, pushed) = producer.done()?;
    let seconds = worker.done()?.seconds;
    delivery::check(&pushed, &ids(&worker.stop()?))?;
    Ok(length(pushed.len()) / seconds)
}

async fn prepared(bench: &Bench, persistence: Persistence) -> Result<RedisChild> {
    let server = RedisChild::start(&bench.cores, persistence).await?;
    Source::connect(server.url(), &bench.keys, TENANTS).await?.share().await?;
    Ok(server)
}

async fn waits_ms(
    bench: &Bench,
    persistence: Persistence,
    per_second: f64,
    seconds: f64,
) -> Result<Vec<f64>> {
    let server = prepared(bench, persistence).await?;
    let plan = WorkerPlan { tenants: TENANTS, concurrency: CONCURRENCY, expect: 0, place: Place::Worker };
    let mut worker = Worker::start(bench, &server, &plan)?;
    let way = Way::Steady { per_second, seconds, work_ms: 0, first_tenant: 0 };
    let mut producer = Producer::start(bench, &server, TENANTS, way)?;
    worker.go()?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    producer.go()?;
    let (_, pushed) = producer.done()?;
    empty(&server).await?;
    let ran = worker.stop()?;
    delivery::check(&pushed, &ids(&ran))?;
    Ok(ran.iter().map(wait_ms).collect())
}

/// Waits until the queue knows no job.
pub(super) async fn empty(server: &RedisChild) -> Result<()> {
    for _ in 0..3_000 {
        if server.jobs_left().await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ensure!(false, "INEXACT DELIVERY: the queue does not drain");
    Ok(())
}

/// From the stamp to the start of the handler.
#[expect(clippy::cast_precision_loss, reason = "waits are far below 2^52 microseconds")]
pub(super) fn wait_ms(job: &Ran) -> f64 {
    (job.started_us - job.created_us) as f64 / 1_000.0
}
