//! Workers on a queue of several shards.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fair_queue::testing::shared_redis_url;
use fair_queue::{QueueConfig, Verdict};

use super::site::{Ran, Site, ping, starts_long_before_its_poll, until};
use crate::support::{config_at, tenant};

fn config(shards: u16) -> QueueConfig {
    QueueConfig { shards, ..config_at(shared_redis_url()) }
}

#[tokio::test]
async fn every_job_of_every_shard_runs_once_and_the_worker_stops_when_told() {
    let site = Site::new(config(4)).await;
    let names: Vec<String> = (0..40).map(|n| format!("tenant-{n}")).collect();
    let homes: BTreeSet<u16> = names.iter().map(|name| site.queue.home(&tenant(name))).collect();
    assert_eq!(homes.len(), 4, "the tenants are spread");
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(8, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    let jobs: Vec<_> = (0..800).map(|n| ping(&names[n as usize % 40], n)).collect();
    assert_eq!(site.queue.push(&jobs).await.unwrap().accepted, 800);
    until("all ran", async || ran.list().len() >= 800).await;
    let report = work.stop().await;
    assert_eq!((report.unstarted, report.interrupted), (0, 0));
    let once: BTreeSet<_> = ran.list().into_iter().collect();
    assert_eq!((once.len(), ran.list().len()), (800, 800));
    for name in &names {
        let counts = site.queue.stats(&tenant(name)).await.unwrap();
        assert_eq!((counts.completed_total, counts.open()), (20, 0), "{name}");
    }
}

/// Wake-ups are quick in every shard.
#[tokio::test]
async fn an_idle_worker_starts_a_job_of_any_shard_long_before_its_poll() {
    starts_long_before_its_poll(Site::new(config(8)).await, 30, |n| format!("tenant-{n}")).await;
}

/// A shard that had no work for a long time does not come back with a claim on the workers.
#[tokio::test]
async fn a_shard_that_was_idle_gets_no_credit() {
    let site = Site::new(config(2)).await;
    let of = |shard| {
        (0..100).map(|n| format!("t{n}")).find(|name| site.queue.home(&tenant(name)) == shard).unwrap()
    };
    let (busy, late) = (of(0), of(1));
    let jobs = |name: &str, count| (0..count).map(|n| ping(name, n)).collect::<Vec<_>>();
    site.queue.push(&jobs(&busy, 3_000)).await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&served);
    let work = site.work(10, move |job| {
        log.lock().unwrap().push(job.partition.to_string());
        async { Ok(Verdict::Completed.into()) }
    });
    until("one shard was served alone", async || served.lock().unwrap().len() >= 1_500).await;
    site.queue.push(&jobs(&late, 1_000)).await.unwrap();
    until("all ran", async || served.lock().unwrap().len() >= 4_000).await;
    work.stop().await;
    let served = served.lock().unwrap();
    let first = served.iter().position(|name| *name == late).unwrap();
    let window = &served[first..(first + 400).min(served.len())];
    let got = window.iter().filter(|name| **name == late).count();
    assert!((170..=230).contains(&got), "the late shard got {got} of {}", window.len());
}
