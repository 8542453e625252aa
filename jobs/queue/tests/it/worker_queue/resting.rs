//! Workers that are told to claim nothing: they end what they have, and leave the rest to others.

use std::time::Duration;

use fair_queue::testing::shared_redis_url;
use fair_queue::{FetchedJob, Finish, QueueConfig, Verdict, WorkerOptions};
use tokio::sync::watch;

use super::site::{Failure, Ran, Site, Work, ping, starts_long_before_its_poll, until};
use crate::support::{Ping, config_at, skill_of, tenant};

async fn site(shards: u16) -> Site {
    Site::new(QueueConfig { shards, ..config_at(shared_redis_url()) }).await
}

/// A worker whose jobs last until the gate is open, and what it ran.
fn worker(site: &Site, slots: usize, gate: &watch::Sender<bool>) -> (Work, Ran) {
    let ran = Ran::default();
    let (log, gate) = (ran.clone(), gate.subscribe());
    let handler = move |job: FetchedJob| {
        log.add(&job);
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|is_open| *is_open).await?;
            Ok::<Finish, Failure>(Verdict::Completed.into())
        }
    };
    (site.work_with(WorkerOptions::new([skill_of::<Ping>()], slots), handler), ran)
}

async fn declared(site: &Site) -> u64 {
    site.queue.skills().await.unwrap().iter().map(|skill| skill.workers).max().unwrap_or(0)
}

async fn rests_while_another_works(shards: u16) {
    let site = site(shards).await;
    let gate = watch::Sender::new(false);
    let (one, by_one) = worker(&site, 3, &gate);
    let names: Vec<String> = (0..8).map(|n| format!("tenant-{n}")).collect();
    let jobs = |from: u32, to: u32| -> Vec<_> {
        (from..to).map(|n| ping(&names[n as usize % names.len()], n)).collect()
    };
    site.queue.push(&jobs(0, 2)).await.unwrap();
    until("two run", async || by_one.list().len() == 2).await;
    let observer = one.queue.observer();
    assert!(observer.is_fetching());
    observer.set_fetching(false);
    until("it has taken note", async || !observer.is_fetching()).await;
    // It has a free slot, and takes nothing.
    let (other, by_other) = worker(&site, 3, &watch::Sender::new(true));
    site.queue.push(&jobs(2, 40)).await.unwrap();
    until("the other ran the rest", async || by_other.list().len() == 38).await;
    assert_eq!((by_one.list().len(), observer.in_flight()), (2, 2));
    assert_eq!(declared(&site).await, 2, "it is still there");
    // What it holds runs to its end, and counts as done.
    gate.send_replace(true);
    until("it holds nothing", async || observer.in_flight() == 0).await;
    let mut completed = 0;
    for name in &names {
        completed += site.queue.stats(&tenant(name)).await.unwrap().completed_total;
    }
    assert_eq!(completed, 40);
    let polled = observer.last_poll();
    until("the queue answers it all the same", async || observer.last_poll() > polled).await;

    other.stop().await;
    site.queue.push(&jobs(40, 50)).await.unwrap();
    let polled = observer.last_poll();
    until("it had time to take one", async || observer.last_poll() > polled + Duration::from_millis(500))
        .await;
    assert_eq!(by_one.list().len(), 2);
    observer.set_fetching(true);
    until("it goes on", async || by_one.list().len() == 12).await;
    assert!(observer.is_fetching());
    let report = one.stop().await;
    assert_eq!((report.unstarted, report.interrupted), (0, 0));
}

#[tokio::test]
async fn a_worker_that_is_told_to_claims_nothing_while_another_does() {
    rests_while_another_works(1).await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_claims_nothing_of_any_shard() {
    rests_while_another_works(4).await;
}

/// Wake-ups that reach a resting worker go to others.
#[tokio::test]
async fn a_resting_worker_takes_no_wake_ups() {
    for shards in [1, 4] {
        let site = site(shards).await;
        let (resting, ran) = worker(&site, 2, &watch::Sender::new(true));
        let observer = resting.queue.observer();
        observer.set_fetching(false);
        until("it has taken note", async || !observer.is_fetching()).await;
        starts_long_before_its_poll(site, 20, |n| format!("tenant-{}", n % 5)).await;
        assert!(ran.list().is_empty());
        resting.stop().await;
    }
}

/// Slots that are kept for newcomers rest as well.
#[tokio::test]
async fn newcomers_are_not_served_by_a_resting_worker() {
    let site = site(1).await;
    let gate = watch::Sender::new(false);
    let options = WorkerOptions { reserve: 1, ..WorkerOptions::new([skill_of::<Ping>()], 2) };
    let ran = Ran::default();
    let (log, opened) = (ran.clone(), gate.subscribe());
    let work = site.work_with(options, move |job: FetchedJob| {
        log.add(&job);
        let mut gate = opened.clone();
        async move {
            gate.wait_for(|is_open| *is_open).await?;
            Ok::<Finish, Failure>(Verdict::Completed.into())
        }
    });
    site.queue.push(&[ping("acme", 0), ping("acme", 1)]).await.unwrap();
    until("one runs", async || ran.list().len() == 1).await;
    let observer = work.queue.observer();
    observer.set_fetching(false);
    until("it has taken note", async || !observer.is_fetching()).await;
    site.queue.push(&[ping("globex", 0)]).await.unwrap();
    let polled = observer.last_poll();
    until("it had time to take it", async || observer.last_poll() > polled + Duration::from_millis(500))
        .await;
    assert_eq!(ran.list().len(), 1);
    observer.set_fetching(true);
    until("the newcomer runs", async || ran.list().len() == 2).await;
    gate.send_replace(true);
    work.stop().await;
}
