//! Slots that are kept for newcomers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fair_queue::{Verdict, WorkerOptions};
use tokio_util::sync::CancellationToken;

use super::site::{Ran, Site, ping, until};
use crate::support::{Ping, skill_of, tenant};

/// Jobs of `acme` hold every slot they get until the end.
async fn occupied(
    site: &Site,
    options: WorkerOptions,
    expected: u64,
) -> (super::site::Work, Ran, CancellationToken) {
    let (ran, end) = (Ran::default(), CancellationToken::new());
    let (log, over) = (ran.clone(), end.clone());
    let work = site.work_with(options, move |job| {
        log.add(&job);
        let over = over.clone();
        async move {
            if job.partition.as_str() == "acme" {
                over.cancelled().await;
            }
            Ok(Verdict::Completed.into())
        }
    });
    let jobs: Vec<_> = (0..30).map(|n| ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    let acme = tenant("acme");
    let active = async || site.queue.stats(&acme).await.unwrap().active;
    until("the backlog has all it can get", async || active().await == expected).await;
    (work, ran, end)
}

#[tokio::test]
async fn a_newcomer_need_not_wait_for_a_slot_behind_a_long_backlog() {
    let site = Site::shared().await;
    let options = WorkerOptions { reserve: 2, ..WorkerOptions::new([skill_of::<Ping>()], 10) };
    let (work, ran, end) = occupied(&site, options, 8).await;
    for n in 0..20 {
        let newcomer = ["globex", "initech"][n % 2];
        site.queue.push(&[ping(newcomer, 100)]).await.unwrap();
        until("the newcomer ran", async || ran.list().len() == 9 + n).await;
    }
    let acme = site.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!((acme.active, acme.available), (8, 22), "its backlog got no slot of the reserve");
    end.cancel();
    until("the backlog is done", async || ran.list().len() == 50).await;
    work.stop().await;
}

#[tokio::test]
async fn without_a_reserve_everybody_may_have_every_slot() {
    let site = Site::shared().await;
    let options = WorkerOptions { reserve: 0, ..WorkerOptions::new([skill_of::<Ping>()], 10) };
    let (work, _, end) = occupied(&site, options, 10).await;
    end.cancel();
    work.stop().await;
}

/// A reserve as large as the worker would leave no slot for tenants with running jobs.
#[tokio::test]
async fn a_reserve_leaves_at_least_one_slot_for_everybody() {
    let site = Site::shared().await;
    let options = WorkerOptions { reserve: 10, ..WorkerOptions::new([skill_of::<Ping>()], 3) };
    let (work, _, end) = occupied(&site, options, 1).await;
    end.cancel();
    work.stop().await;
}

/// Newcomers share the slots that are kept for them one job at a time.
#[tokio::test]
async fn a_newcomer_with_many_jobs_gets_one_slot_of_the_reserve_at_a_time() {
    let site = Site::shared().await;
    let (starts, end) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let (counter, over) = (Arc::clone(&starts), end.clone());
    let options = WorkerOptions { reserve: 3, ..WorkerOptions::new([skill_of::<Ping>()], 6) };
    let work = site.work_with(options, move |_| {
        counter.fetch_add(1, Ordering::AcqRel);
        let over = over.clone();
        async move {
            over.cancelled().await;
            Ok(Verdict::Completed.into())
        }
    });
    for name in ["acme", "globex", "initech"] {
        let jobs: Vec<_> = (0..10).map(|n| ping(name, n)).collect();
        site.queue.push(&jobs).await.unwrap();
        until("it has a slot", async || site.queue.stats(&tenant(name)).await.unwrap().active > 0).await;
    }
    let late = ["globex", "initech"].map(tenant);
    for name in &late {
        assert_eq!(site.queue.stats(name).await.unwrap().active, 1, "{name}");
    }
    end.cancel();
    until("all are done", async || starts.load(Ordering::Acquire) == 30).await;
    work.stop().await;
}
