//! Shares over several shards, in virtual time: the queue is measured, not the machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::DateTime;
use fair_queue::clock::ManualClock;
use fair_queue::testing::shared_redis_url;
use fair_queue::{
    FetchRequest, Fetched, FinishedJob, NextShard, PartitionShare, QueueConfig, ShardOrder, Verdict,
};

use crate::support::{Harness, config_at, tenant};

/// A worker that asks the shards in the order in which the real one does.
struct Asker {
    name: String,
    order: ShardOrder,
    attempt: u64,
}

impl Asker {
    /// Claims up to 20 jobs and completes them. Returns their tenants and the worker time they took.
    async fn work(&mut self, h: &Harness, took: impl Fn(&str) -> Duration) -> Vec<(String, Duration)> {
        let now = Instant::now();
        let NextShard::Ask { shard, turn } = self.order.next(now) else { unreachable!("there is work") };
        self.attempt += 1;
        let request = FetchRequest {
            worker: &self.name,
            attempt: self.attempt,
            shard,
            turn,
            skills: &h.skills,
            limit: 20,
            quantum: 2,
        };
        let claim = match h.queue.fetch(request).await.unwrap() {
            Fetched::Claim(claim) => claim,
            Fetched::Nothing { virtual_time, .. } => {
                self.order.answered(shard, virtual_time, now);
                return Vec::new();
            }
        };
        self.order.answered(shard, claim.virtual_time, now);
        let finished: Vec<_> = claim
            .jobs
            .iter()
            .map(|job| FinishedJob::new(job, claim.fence, Verdict::Completed).took(job, took(&job.partition)))
            .collect();
        assert!(h.queue.finish(&finished).await.unwrap().iter().all(|applied| *applied));
        finished.into_iter().map(|job| (job.partition.to_string(), took(&job.partition))).collect()
    }
}

async fn harness(shards: u16) -> Harness {
    let clock = ManualClock::at(DateTime::from_timestamp_millis(1_800_000_000_000).unwrap());
    let mut config = QueueConfig { shards, ..config_at(shared_redis_url()) };
    config.clock = Some(std::sync::Arc::new(clock.clone()));
    Harness::with(config, clock).await
}

/// Tenants with these weights, all of them in `shard`.
fn tenants_in(h: &Harness, shard: u16, weights: &[u32]) -> Vec<(String, u32)> {
    let names = (0..).map(|n| format!("s{shard}-{n}")).filter(|name| h.queue.home(&tenant(name)) == shard);
    names.zip(weights.iter().copied()).collect()
}

/// Invariant 8 over independent shards: a tenant's share depends on its weight, not on the other tenants in its shard,
/// nor on how long its jobs take.
#[tokio::test]
async fn shares_follow_weights_across_shards() {
    let h = harness(4).await;
    // Shard 0 is crowded, shard 3 has a single tenant; weights differ everywhere.
    let mut tenants = tenants_in(&h, 0, &[1, 2, 3, 4, 1, 2, 3, 4]);
    tenants.extend(tenants_in(&h, 1, &[8, 1]));
    tenants.extend(tenants_in(&h, 2, &[2, 5, 5]));
    tenants.extend(tenants_in(&h, 3, &[3]));
    let total: u32 = tenants.iter().map(|(_, weight)| weight).sum();
    let window = Duration::from_secs(40);
    let took = |name: &str| Duration::from_millis(2 + name.len() as u64 % 2 * 4);
    for (name, weight) in &tenants {
        let share = PartitionShare { weight: Some(*weight), ..PartitionShare::default() };
        h.queue.partition_set(&tenant(name), share).await.unwrap();
        let enough = (window * *weight / total * 5 / 4).as_millis() / took(name).as_millis();
        let jobs: Vec<_> = (0..enough).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
    }
    let mut askers: Vec<_> =
        (0..3).map(|n| Asker { name: format!("w{n}"), order: ShardOrder::new(4), attempt: 0 }).collect();
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    while times.values().sum::<Duration>() < window {
        for asker in &mut askers {
            for (name, time) in asker.work(&h, took).await {
                *times.entry(name).or_default() += time;
            }
        }
    }
    let all: Duration = times.values().sum();
    for (name, weight) in &tenants {
        let (got, due) = (times[name], all * *weight / total);
        let off = got.as_secs_f64() / due.as_secs_f64() - 1.0;
        assert!(off.abs() < 0.03, "{name} with weight {weight} got {got:?}, not {due:?}: {times:?}");
    }
}
