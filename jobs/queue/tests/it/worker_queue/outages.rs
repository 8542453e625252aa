//! Redis goes away, and so do workers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fair_queue::testing::{RedisServer, shared_redis_url};
use fair_queue::{QueueConfig, Verdict};

use super::site::{PATIENCE, Ran, Site, ping, quick, until};
use crate::support::{config_at, plain_connection, tenant};

/// Cases 4 and 6: the token fires before another worker can have the job.
#[tokio::test]
async fn case_6_a_job_whose_lease_cannot_be_confirmed_is_cancelled_before_the_lease_ends() {
    let mut server = RedisServer::start(&[]).unwrap();
    let site = Site::new(quick(config_at(server.url()))).await;
    let cancelled = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&cancelled);
    let started = Arc::new(tokio::sync::Notify::new());
    let start = Arc::clone(&started);
    let work = site.work(1, move |job| {
        let (seen, start) = (Arc::clone(&seen), Arc::clone(&start));
        async move {
            start.notify_one();
            job.cancel.cancelled().await;
            seen.lock().unwrap().get_or_insert_with(Instant::now);
            Ok(Verdict::Released.into())
        }
    });
    site.queue.push(&[ping("acme", 0)]).await.unwrap();
    tokio::time::timeout(PATIENCE, started.notified()).await.unwrap();
    tokio::time::sleep(site.queue.config().lease * 2).await;
    assert!(cancelled.lock().unwrap().is_none(), "a lease that is renewed does not end");
    server.stop().unwrap();
    let gone = Instant::now();
    until("the token fired", async || cancelled.lock().unwrap().is_some()).await;
    let after = cancelled.lock().unwrap().unwrap().saturating_duration_since(gone);
    assert!(after < site.queue.config().lease, "the token fired {after:?} after Redis had gone");
    server.resume().unwrap();
    drop(work);
}

/// Case 28: Redis goes away and comes back; the worker goes on by itself and loses nothing.
#[tokio::test]
async fn a_worker_survives_a_restart_of_redis() {
    let mut server = RedisServer::start(&[]).unwrap();
    let site = Site::new(quick(config_at(server.url()))).await;
    let work = site.work(4, |_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(Verdict::Completed.into())
    });
    let acme = tenant("acme");
    let jobs: Vec<_> = (0..200).map(|n| ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    for _ in 0..2 {
        server.stop().unwrap();
        assert!(site.queue.ping().await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.resume().unwrap();
        let polled = work.queue.observer().last_poll();
        until("it polls again", async || work.queue.observer().last_poll() > polled).await;
    }
    until("all are done", async || {
        site.queue.stats(&acme).await.is_ok_and(|stats| stats.open() == 0 && stats.completed_total >= 200)
    })
    .await;
    assert_eq!(site.queue.stats(&acme).await.unwrap().quarantined, 0);
    work.stop().await;
}

/// Redis is down for a while, in the middle of the work; then all accepted jobs run.
async fn stopped_for(absence: Duration, shards: u16) {
    let mut server = RedisServer::start(&[]).unwrap();
    let site = Site::new(QueueConfig { shards, ..quick(config_at(server.url())) }).await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(4, move |job| {
        let log = log.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            log.add(&job);
            Ok(Verdict::Completed.into())
        }
    });
    let names = ["acme", "globex", "initech", "umbrella"];
    let jobs: Vec<_> = (0..400).map(|n| ping(names[n as usize % 4], n)).collect();
    site.queue.push(&jobs).await.unwrap();
    until("it is busy", async || ran.list().len() > 20).await;
    server.stop().unwrap();
    tokio::time::sleep(absence).await;
    assert!(!work.running.is_finished(), "the worker waits");
    server.resume().unwrap();
    for name in names {
        until("all are done", async || {
            site.queue.stats(&tenant(name)).await.is_ok_and(|stats| stats.open() == 0)
        })
        .await;
        assert_eq!(site.queue.stats(&tenant(name)).await.unwrap().quarantined, 0);
    }
    let once: BTreeSet<_> = ran.list().into_iter().collect();
    assert_eq!(once.len(), 400, "every job ran");
    work.stop().await;
}

#[tokio::test]
async fn case_28_redis_is_stopped_for_3_s() {
    stopped_for(Duration::from_secs(3), 1).await;
}

#[tokio::test]
async fn case_28_redis_is_stopped_for_3_s_with_several_shards() {
    stopped_for(Duration::from_secs(3), 4).await;
}

/// For a minute with `TENANTRY_LONG_TESTS=1`, else for six seconds: longer than a lease and two deadlines.
#[tokio::test]
async fn case_28_redis_is_stopped_for_60_s() {
    let long = std::env::var_os("TENANTRY_LONG_TESTS").is_some();
    stopped_for(Duration::from_secs(if long { 60 } else { 6 }), 1).await;
}

/// Case 27: what the worker relies on in the server vanishes while it works.
#[tokio::test]
async fn case_27_28_a_worker_survives_flushed_scripts_and_functions() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let site = Site::new(QueueConfig { shards: 2, ..quick(config_at(server.url())) }).await;
    let work = site.work(4, |_| async { Ok(Verdict::Completed.into()) });
    let mut flusher = plain_connection(&server.url()).await;
    for n in 0..60 {
        site.queue.push(&[ping("acme", n)]).await.unwrap();
        let what = if n % 2 == 0 { "SCRIPT" } else { "FUNCTION" };
        redis::cmd(what).arg("FLUSH").query_async::<()>(&mut flusher).await.unwrap();
    }
    let acme = tenant("acme");
    until("all are done", async || site.queue.stats(&acme).await.is_ok_and(|stats| stats.open() == 0)).await;
    assert_eq!(site.queue.stats(&acme).await.unwrap().completed_total, 60);
    work.stop().await;
}

/// Case 28: every connection is cut at once, again and again.
#[tokio::test]
async fn a_worker_survives_cut_connections() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let site = Site::new(quick(config_at(server.url()))).await;
    let work = site.work(4, |_| async { Ok(Verdict::Completed.into()) });
    for n in 0..100 {
        let job = ping("acme", n);
        until("it is accepted", async || site.queue.push(std::slice::from_ref(&job)).await.is_ok()).await;
        if n % 10 == 0 {
            let mut cutter = plain_connection(&server.url()).await;
            redis::cmd("CLIENT")
                .arg("KILL")
                .arg("TYPE")
                .arg("normal")
                .query_async::<()>(&mut cutter)
                .await
                .ok();
        }
    }
    let acme = tenant("acme");
    until("all are done", async || site.queue.stats(&acme).await.is_ok_and(|stats| stats.open() == 0)).await;
    assert_eq!(site.queue.stats(&acme).await.unwrap().quarantined, 0);
    work.stop().await;
}

/// Case 26: what a worker that vanished had is taken over by another.
#[tokio::test]
async fn the_jobs_of_a_worker_that_vanished_run_elsewhere() {
    let site = Site::new(quick(config_at(shared_redis_url()))).await;
    let started = Arc::new(tokio::sync::Notify::new());
    let start = Arc::clone(&started);
    // As `kill -9` does: its runtime stops between two instructions, nothing is given back, nothing renewed.
    let machine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = site.queue.config().clone();
    machine.spawn(async move {
        let site = Site::new(config).await;
        let _dying = site.work(3, move |_| {
            start.notify_one();
            std::future::pending()
        });
        std::future::pending::<()>().await;
    });
    let jobs: Vec<_> = (0..3).map(|n| ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    tokio::time::timeout(PATIENCE, started.notified()).await.unwrap();
    machine.shutdown_background();
    let heir = site.work(3, |_| async { Ok(Verdict::Completed.into()) });
    let acme = tenant("acme");
    until("the heir did them", async || site.queue.stats(&acme).await.unwrap().completed_total == 3).await;
    heir.stop().await;
}
