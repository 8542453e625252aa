//! How fast jobs get in, their stamping included.

use anyhow::Result;

use super::running::Producer;
use crate::child::Way;
use crate::harness::bench::Bench;
use crate::harness::delivery;
use crate::harness::redis_child::{Persistence, RedisChild};
use crate::harness::report::{Target, progress};
use crate::harness::sample::{Sample, length};
use crate::harness::server_time::ServerTime;
use crate::harness::workload::Source;

const TENANTS: usize = 100;

pub(super) async fn measure(bench: &mut Bench) -> Result<()> {
    for persistence in bench.persistence.clone() {
        let bulk = Way::Bulk { jobs: 200_000 };
        way(bench, persistence, "in bulk", bulk, 150_000.0).await?;
        let single = Way::Single { jobs: 100_000, tasks: 64 };
        way(bench, persistence, "single calls from 64 tasks", single, 60_000.0).await?;
    }
    Ok(())
}

async fn way(bench: &mut Bench, persistence: Persistence, name: &str, way: Way, goal: f64) -> Result<()> {
    let (mut rate, mut functions, mut together) = (Sample::default(), Sample::default(), Sample::default());
    let (mut redis_cpu, mut producer_cpu) = (Sample::default(), Sample::default());
    for run in 1..=bench.runs {
        progress(&format!("enqueue {name}, {}, run {run}", persistence.name()));
        let server = RedisChild::start(&bench.cores, persistence).await?;
        Source::connect(server.url(), &bench.keys, TENANTS).await?.share().await?;
        let mut producer = Producer::start(bench, &server, TENANTS, way)?;
        server.reset_statistics().await?;
        let before = server.cpu_seconds().await?;
        producer.go()?;
        let (produced, ids) = producer.done()?;
        redis_cpu.add((server.cpu_seconds().await? - before) * 1e6 / length(ids.len()));
        let times = ServerTime::read(&server).await?;
        functions.add(times.functions_us / length(ids.len()));
        together.add(length(ids.len()) / times.calls);
        delivery::check(&ids, &server.job_ids().await?)?;
        rate.add(length(ids.len()) / produced.seconds);
        producer_cpu.add(produced.cpu_seconds * 1e6 / length(ids.len()));
    }
    let place = ("enqueue", persistence.name());
    bench.report.add(place, name, "jobs/s", rate, Some(Target::AtLeast(goal)));
    bench.report.add(place, format!("{name}: enqueue functions"), "us/job", functions, None);
    bench.report.add(place, format!("{name}: jobs in a call of Redis"), "jobs", together, None);
    bench.report.add(place, format!("{name}: redis cpu"), "us/job", redis_cpu, None);
    bench.report.add(place, format!("{name}: producer cpu"), "us/job", producer_cpu, None);
    Ok(())
}
