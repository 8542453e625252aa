//! How fast a backlog of no-op jobs drains, beside the peers.

use anyhow::Result;

use super::drained::drain_on;
use super::running::Road;
use crate::harness::bench::Bench;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::Sample;
use crate::harness::workload::Source;
use crate::peers::{PEERS, Peer};

const JOBS: u64 = 100_000;
/// Jobs that the benched worker runs at once.
pub(super) const CONCURRENCY: usize = 1_000;
/// The required ratio to the best peer.
const RATIO: f64 = 6.0;
/// And that of a worker which keeps a history, with 100 tenants.
const WHOLE_RATIO: f64 = 10.0;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    for persistence in bench.persistence.clone() {
        let ours = backlog(bench, persistence, Road::Queue, (100, Some(150_000.0))).await?;
        backlog(bench, persistence, Road::Queue, (10_000, Some(100_000.0))).await?;
        let whole = backlog(bench, persistence, Road::Whole, (100, None)).await?;
        let place = ("drain", persistence.name());
        let mut best: f64 = 0.0;
        for peer in PEERS.iter().take(if bench.peers { PEERS.len() } else { 0 }) {
            if let Some(theirs) = beside(bench, peer, persistence, ours).await {
                best = if peer.counts { best.max(theirs) } else { best };
            }
        }
        if best > 0.0 {
            let ratio = |ours: f64| Sample { values: vec![ours / best] };
            let target = Some(Target::AtLeast(RATIO));
            bench.report.add(place, "times as fast as the best peer", "x", ratio(ours), target);
            let target = Some(Target::AtLeast(WHOLE_RATIO));
            bench.report.add(place, "whole worker, times the best peer", "x", ratio(whole), target);
        }
    }
    Ok(())
}

/// The median of jobs a second.
async fn backlog(
    bench: &mut Bench,
    persistence: Persistence,
    road: Road,
    (tenants, goal): (usize, Option<f64>),
) -> Result<f64> {
    let (mut rate, mut redis, mut functions, mut worker) =
        (Sample::default(), Sample::default(), Sample::default(), Sample::default());
    let name = match road {
        Road::Queue => format!("100k backlog, {tenants} tenants"),
        Road::Whole => format!("100k backlog, {tenants} tenants, whole worker"),
    };
    for run in 1..=bench.runs {
        progress(&format!("drain, {name}, {}, run {run}", persistence.name()));
        let server = RedisChild::start(&bench.cores, persistence).await?;
        let source = Source::connect(server.url(), &bench.keys, tenants).await?;
        source.share().await?;
        let pushed = source.fill(JOBS, 0).await?;
        let drained = drain_on(road, bench, &server, (tenants, CONCURRENCY), &pushed, 0).await?;
        rate.add(drained.per_second);
        redis.add(drained.redis_cpu_us);
        functions.add(drained.functions_us);
        worker.add(drained.worker_cpu_us);
    }
    let (median, place) = (rate.median(), ("drain", persistence.name()));
    bench.report.add(place, name.clone(), "jobs/s", rate, goal.map(Target::AtLeast));
    bench.report.add(place, format!("{name}: redis cpu"), "us/job", redis, None);
    bench.report.add(place, format!("{name}: fetch and finish functions"), "us/job", functions, None);
    bench.report.add(place, format!("{name}: worker cpu"), "us/job", worker, None);
    Ok(median)
}

/// The median of a peer's jobs a second. A peer that cannot be measured is a row with the reason: it is not our
/// failure.
async fn beside(bench: &mut Bench, peer: &Peer, persistence: Persistence, ours: f64) -> Option<f64> {
    let place = ("drain", persistence.name());
    let what = format!("{} (concurrency {})", peer.name, peer.concurrency);
    match peer_drain(bench, peer, persistence).await {
        Ok(theirs) => {
            let median = theirs.median();
            let ratio = Sample { values: vec![ours / median] };
            bench.report.add(place, what, "jobs/s", theirs, None);
            bench.report.add(place, format!("{}: times as fast as", peer.name), "x", ratio, None);
            Some(median)
        }
        Err(why) => {
            bench.report.failed(place, what, &why);
            None
        }
    }
}

async fn peer_drain(bench: &Bench, peer: &Peer, persistence: Persistence) -> Result<Sample> {
    peer.prepare()?;
    let mut rate = Sample::default();
    for run in 1..=bench.runs {
        progress(&format!("drain, {}, {}, run {run}", peer.name, persistence.name()));
        let server = RedisChild::start(&bench.cores, persistence).await?;
        rate.add(peer.drain(&bench.cores, server.port, JOBS)?);
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peers::shell;

    #[tokio::test]
    async fn a_peer_that_fails_is_a_row_and_the_next_one_is_measured() {
        let mut bench = Bench::from_environment().unwrap();
        bench.runs = 1;
        let limit = Duration::from_secs(60);
        let fails = shell(&["sh", "-c", "echo out of luck >&2; exit 3"], limit);
        let works = shell(&["sh", "-c", r#"seq 0 99999 >"$IDS_FILE"; echo '{"seconds": 2}'"#], limit);
        assert_eq!(beside(&mut bench, &fails, Persistence::Off, 100_000.0).await, None);
        assert_eq!(beside(&mut bench, &works, Persistence::Off, 100_000.0).await, Some(50_000.0));
        let lines = bench.report.lines();
        assert!(lines[0].ends_with("failed: exit status: 3: out of luck"), "{lines:?}");
        assert!(lines[1].contains("50000 jobs/s") && lines[2].contains("2.000 x"), "{lines:?}");
    }
}
