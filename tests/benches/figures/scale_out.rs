//! Two worker processes beside one, when a job is a millisecond of waiting.

use std::time::Instant;

use anyhow::Result;

use super::drained::check;
use super::latency::empty;
use super::running::{Worker, WorkerPlan, ids};
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, float};
use crate::harness::workload::Source;

const JOBS: u64 = 200_000;
const TENANTS: usize = 100;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    let place = ("scale_out", Persistence::Off.name());
    let (mut one, mut two, mut ratio) = (Sample::default(), Sample::default(), Sample::default());
    for run in 1..=bench.runs {
        progress(&format!("scale_out, run {run}"));
        let (single, pair) = (per_second(bench, 1).await?, per_second(bench, 2).await?);
        one.add(single);
        two.add(pair);
        ratio.add(pair / single);
    }
    bench.report.add(place, "one worker, 1 ms of waiting, concurrency 100", "jobs/s", one, None);
    bench.report.add(place, "two workers, 1 ms of waiting, concurrency 100 each", "jobs/s", two, None);
    bench.report.add(place, "times one worker", "x", ratio, Some(Target::AtLeast(1.6)));
    Ok(())
}

async fn per_second(bench: &Bench, workers: usize) -> Result<f64> {
    let server = RedisChild::start(&bench.cores, Persistence::Off).await?;
    let source = Source::connect(server.url(), &bench.keys, TENANTS).await?;
    source.share().await?;
    let pushed = source.fill(JOBS, 1).await?;
    let plan = WorkerPlan { tenants: TENANTS, concurrency: 100, expect: 0, place: Place::Anywhere };
    let mut workers: Vec<Worker> =
        (0..workers).map(|_| Worker::start(bench, &server, &plan)).collect::<Result<_>>()?;
    let start = Instant::now();
    workers.iter_mut().try_for_each(Worker::go)?;
    empty(&server).await?;
    let seconds = start.elapsed().as_secs_f64();
    let ran = workers.into_iter().map(Worker::stop).collect::<Result<Vec<_>>>()?.concat();
    check(&server, &pushed, &ids(&ran), 0).await?;
    Ok(float(JOBS) / seconds)
}
