//! One drain of a backlog by worker processes, checked.

use anyhow::{Result, ensure};
use jobs::JobId;

use super::running::{Road, Worker, WorkerPlan, ids};
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::delivery;
use crate::harness::records;
use crate::harness::redis_child::RedisChild;
use crate::harness::sample::length;
use crate::harness::server_time::ServerTime;

/// The measurements of one drain.
pub(super) struct Drained {
    pub(super) per_second: f64,
    pub(super) redis_cpu_us: f64,
    pub(super) functions_us: f64,
    pub(super) worker_cpu_us: f64,
    pub(super) server: ServerTime,
}

/// Drains exactly the jobs `pushed` with one worker process; `left` jobs of others stay.
pub(super) async fn drain(
    bench: &Bench,
    server: &RedisChild,
    (tenants, concurrency): (usize, usize),
    pushed: &[JobId],
    left: u64,
) -> Result<Drained> {
    drain_on(Road::Queue, bench, server, (tenants, concurrency), pushed, left).await
}

/// As [`drain`], by a worker in which jobs go through more.
pub(super) async fn drain_on(
    road: Road,
    bench: &Bench,
    server: &RedisChild,
    (tenants, concurrency): (usize, usize),
    pushed: &[JobId],
    left: u64,
) -> Result<Drained> {
    let plan = WorkerPlan { tenants, concurrency, expect: pushed.len() as u64, place: Place::Worker };
    let mut worker = Worker::start_on(road, bench, server, &plan)?;
    server.reset_statistics().await?;
    let before = server.cpu_seconds().await?;
    worker.go()?;
    let done = worker.done()?;
    let redis_seconds = server.cpu_seconds().await? - before;
    let times = ServerTime::read(server).await?;
    let ran = worker.stop()?;
    check(server, pushed, &ids(&ran), left).await?;
    let per_job = |seconds: f64| seconds * 1e6 / length(pushed.len());
    Ok(Drained {
        per_second: length(pushed.len()) / done.seconds,
        redis_cpu_us: per_job(redis_seconds),
        functions_us: times.functions_us / length(pushed.len()),
        worker_cpu_us: per_job(done.cpu_seconds),
        server: times,
    })
}

/// Exactly the jobs `pushed` ran, and nothing but `left` jobs remains.
pub(super) async fn check(server: &RedisChild, pushed: &[JobId], ran: &[u128], left: u64) -> Result<()> {
    let pushed = pushed.iter().map(|id| records::number(*id)).collect::<Result<Vec<_>>>()?;
    delivery::check(&pushed, ran)?;
    let remain = server.jobs_left().await?;
    ensure!(remain == left, "INEXACT DELIVERY: the queue still knows {remain} jobs, not {left}");
    Ok(())
}
