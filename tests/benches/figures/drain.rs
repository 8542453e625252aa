//! How fast a backlog of no-op jobs drains, beside the peers.

use anyhow::Result;

use super::drained::drain;
use crate::harness::bench::Bench;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::Sample;
use crate::harness::workload::Source;
use crate::peers::{PEERS, Peer};

const JOBS: u64 = 100_000;
/// Jobs that the benched worker runs at once.
pub(super) const CONCURRENCY: usize = 1_000;
/// What the issue asks for, over the best peer.
const RATIO: f64 = 6.0;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    for persistence in bench.persistence.clone() {
        let ours = backlog(bench, persistence, 100, 150_000.0).await?;
        backlog(bench, persistence, 10_000, 100_000.0).await?;
        let place = ("drain", persistence.name());
        let mut best: f64 = 0.0;
        for peer in PEERS.iter().take(if bench.peers { PEERS.len() } else { 0 }) {
            if let Some(theirs) = peer_drain(bench, peer, persistence).await? {
                let (ratio, what) = (ours / theirs.median(), format!("{}: times as fast as", peer.name));
                bench.report.add(
                    place,
                    format!("{} (concurrency {})", peer.name, peer.concurrency),
                    "jobs/s",
                    theirs.clone(),
                    None,
                );
                bench.report.add(place, what, "x", Sample { values: vec![ratio] }, None);
                best = if peer.counts { best.max(theirs.median()) } else { best };
            }
        }
        if best > 0.0 {
            let ratio = Sample { values: vec![ours / best] };
            bench.report.add(
                place,
                "times as fast as the best peer",
                "x",
                ratio,
                Some(Target::AtLeast(RATIO)),
            );
        }
    }
    Ok(())
}

/// The median of jobs a second.
async fn backlog(bench: &mut Bench, persistence: Persistence, tenants: usize, goal: f64) -> Result<f64> {
    let (mut rate, mut redis, mut functions, mut worker) =
        (Sample::default(), Sample::default(), Sample::default(), Sample::default());
    for run in 1..=bench.runs {
        progress(&format!("drain, {tenants} tenants, {}, run {run}", persistence.name()));
        let server = RedisChild::start(&bench.cores, persistence).await?;
        let source = Source::connect(server.url(), &bench.keys, tenants).await?;
        source.share().await?;
        let pushed = source.fill(JOBS, 0).await?;
        let drained = drain(bench, &server, (tenants, CONCURRENCY), &pushed, 0).await?;
        rate.add(drained.per_second);
        redis.add(drained.redis_cpu_us);
        functions.add(drained.functions_us);
        worker.add(drained.worker_cpu_us);
    }
    let (median, place) = (rate.median(), ("drain", persistence.name()));
    let name = format!("100k backlog, {tenants} tenants");
    bench.report.add(place, name.clone(), "jobs/s", rate, Some(Target::AtLeast(goal)));
    bench.report.add(place, format!("{name}: redis cpu"), "us/job", redis, None);
    bench.report.add(place, format!("{name}: fetch and finish functions"), "us/job", functions, None);
    bench.report.add(place, format!("{name}: worker cpu"), "us/job", worker, None);
    Ok(median)
}

async fn peer_drain(bench: &mut Bench, peer: &Peer, persistence: Persistence) -> Result<Option<Sample>> {
    if let Err(missing) = peer.prepare() {
        bench.report.note(format!("{} skipped: {missing:#}", peer.name));
        return Ok(None);
    }
    let mut rate = Sample::default();
    for run in 1..=bench.runs {
        progress(&format!("drain, {}, {}, run {run}", peer.name, persistence.name()));
        let server = RedisChild::start(&bench.cores, persistence).await?;
        rate.add(peer.drain(&bench.cores, server.port, JOBS)?);
    }
    Ok(Some(rate))
}
