//! Jobs that run, and workers that stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fair_queue::testing::shared_redis_url;
use fair_queue::{Cancelled, JobState, Verdict};
use tokio_util::sync::CancellationToken;

use super::site::{PATIENCE, Ran, Site, ping, starts_long_before_its_poll, until};
use crate::support::{Job as _, Ping, plain_connection, tenant};

#[tokio::test]
async fn every_job_runs_once_and_the_worker_stops_when_told() {
    let site = Site::shared().await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(8, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    let jobs: Vec<_> = (0..300).map(|n| ping(["acme", "globex", "initech"][n as usize % 3], n)).collect();
    site.queue.push(&jobs).await.unwrap();
    until("all ran", async || ran.list().len() >= 300).await;
    let report = work.stop().await;
    assert_eq!((report.unstarted, report.interrupted), (0, 0));
    let once: BTreeSet<_> = ran.list().into_iter().collect();
    assert_eq!((once.len(), ran.list().len()), (300, 300));
    let counts = site.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!((counts.completed_total, counts.open()), (100, 0));
}

/// Wake-ups are quick: an idle worker does not wait for its poll.
#[tokio::test]
async fn an_idle_worker_starts_a_job_long_before_its_poll() {
    starts_long_before_its_poll(Site::shared().await, 20, |_| "acme".to_owned()).await;
}

#[tokio::test]
async fn errors_and_panics_spend_an_attempt_and_say_why() {
    let site = Site::shared().await;
    let looked = CancellationToken::new();
    let look = looked.clone();
    let work = site.work(4, move |job| {
        let looked = look.clone();
        async move {
            match (job.attempts, job.payload.ends_with(b"\"n\":1}")) {
                (0, true) => panic!("on purpose"),
                (0, false) => Err("the service failed".into()),
                _ => {
                    looked.cancelled().await;
                    Ok(Verdict::Completed.into())
                }
            }
        }
    });
    let (panics, fails) = (ping("acme", 1), ping("acme", 2));
    site.queue.push(&[panics.clone(), fails.clone()]).await.unwrap();
    let acme = tenant("acme");
    for (job, text) in [(&panics, "the handler panicked"), (&fails, "the service failed")] {
        let status = async || site.queue.lookup(&acme, job.id).await.unwrap().unwrap();
        until("it failed once", async || status().await.attempts == 1).await;
        assert_eq!(status().await.reason.unwrap().text, text);
    }
    looked.cancel();
    until("both are tried again", async || site.queue.stats(&acme).await.unwrap().completed_total == 2).await;
    work.stop().await;
}

/// A handler that ignores its token is not waited for; nothing it did counts as an attempt.
#[tokio::test]
async fn a_stop_gives_back_what_it_cannot_finish() {
    let site = Site::shared().await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(2, move |job| {
        log.add(&job);
        async move {
            if job.payload.ends_with(b"\"n\":0}") {
                job.cancel.cancelled().await;
                return Ok(Verdict::Released.into());
            }
            std::future::pending().await
        }
    });
    let jobs: Vec<_> = (0..5).map(|n| ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    until("two run", async || ran.list().len() == 2).await;
    let running = work.running;
    let report = work.queue.stop(Duration::from_millis(600)).await;
    running.abort();
    assert_eq!((report.unstarted, report.interrupted), (0, 1));
    let acme = tenant("acme");
    let counts = site.queue.stats(&acme).await.unwrap();
    assert_eq!((counts.available, counts.active), (5, 0));
    for job in &jobs[..2] {
        let status = site.queue.lookup(&acme, job.id).await.unwrap().unwrap();
        assert_eq!((status.interruptions, status.attempts, status.deaths), (1, 0, 0));
    }
}

/// A program that waits for a job learns of its quarantine by the queue.
#[tokio::test]
async fn a_job_that_the_queue_quarantines_is_reported() {
    let site = Site::shared().await;
    let mut work = site.work(1, |_| async { Ok(Verdict::Completed.into()) });
    let mut reports = work.queue.take_quarantined().unwrap();
    let job = ping("acme", 0);
    let mut redis = plain_connection(&shared_redis_url()).await;
    let prefix = format!("{}:{{q.0}}", site.queue.config().prefix);
    // A job in the list whose record is missing.
    let mut skill = redis::cmd("HGET");
    skill.arg(format!("{prefix}:L")).arg(format!("{}@1", Ping::TYPE));
    let mut known: Option<u32> = None;
    until("the skill is known", async || {
        known = skill.query_async(&mut redis).await.unwrap();
        known.is_some()
    })
    .await;
    let keep = ping("acme", 1);
    let mut pipe = redis::pipe();
    pipe.atomic()
        .cmd("LPUSH")
        .arg(format!("{prefix}:t:acme:{}.1", known.unwrap()))
        .arg(job.id.to_string())
        .ignore();
    pipe.query_async::<()>(&mut redis).await.unwrap();
    site.queue.push(std::slice::from_ref(&keep)).await.unwrap();
    let report = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!((report.id, report.code, report.partition.as_str()), (job.id, "record_missing", "acme"));
    let acme = tenant("acme");
    until("the next job ran", async || site.queue.stats(&acme).await.unwrap().completed_total == 1).await;
    let status = site.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!(status.state, JobState::Quarantined);
    work.stop().await;
}

/// A worker says which skills it serves for as long as it does.
#[tokio::test]
async fn a_skill_is_declared_while_its_worker_lives() {
    let site = Site::shared().await;
    let work = site.work(1, |_| std::future::pending());
    let (acme, job) = (tenant("acme"), ping("acme", 0));
    site.queue.push(std::slice::from_ref(&job)).await.unwrap();
    let declared = async || site.queue.lookup(&acme, job.id).await.unwrap().unwrap().skill_declared;
    until("it is declared", declared).await;
    work.queue.stop(Duration::from_millis(100)).await;
    work.running.abort();
    assert!(!declared().await);
    assert_eq!(site.queue.stats(&acme).await.unwrap().undeclared["test.ping@1"], 1);
}

/// A cancelled job's token fires within a second or so, and the job ends as cancelled with any verdict of its handler.
#[tokio::test]
async fn a_running_job_is_told_to_stop() {
    let site = Site::shared().await;
    let acme = tenant("acme");
    let started = CancellationToken::new();
    let seen = started.clone();
    let work = site.work(2, move |job| {
        seen.cancel();
        async move {
            job.cancel.cancelled().await;
            assert!(job.was_cancelled());
            Ok(Verdict::Retry { after: Duration::ZERO, error: "stopped".into() }.into())
        }
    });
    for whole_tenant in [false, true] {
        let job = ping("acme", 0);
        site.queue.push(std::slice::from_ref(&job)).await.unwrap();
        until("it runs", async || {
            site.queue.lookup(&acme, job.id).await.unwrap().is_some_and(|job| job.state == JobState::Active)
                && started.is_cancelled()
        })
        .await;
        if whole_tenant {
            assert_eq!(site.queue.cancel_partition(&acme).await.unwrap().stopping, 1);
        } else {
            assert_eq!(site.queue.cancel(&acme, job.id).await.unwrap(), Cancelled::Stopping);
        }
        until("it is cancelled", async || {
            site.queue.lookup(&acme, job.id).await.unwrap().unwrap().state == JobState::Cancelled
        })
        .await;
    }
    assert_eq!(work.queue.observer().stuck(), 0);
    work.stop().await;
}

/// Case 24: a handler that does not stop is seen, by number and by age.
#[tokio::test]
async fn case_24_a_handler_that_does_not_stop_is_seen() {
    let site = Site::shared().await;
    let acme = tenant("acme");
    let release = CancellationToken::new();
    let held = release.clone();
    let work = site.work(1, move |_| {
        let held = held.clone();
        async move {
            held.cancelled().await;
            Ok(Verdict::Completed.into())
        }
    });
    let job = ping("acme", 0);
    site.queue.push(std::slice::from_ref(&job)).await.unwrap();
    let observer = work.queue.observer();
    until("it runs", async || observer.in_flight() == 1 && observer.oldest_running().is_some()).await;
    site.queue.cancel(&acme, job.id).await.unwrap();
    until("it is stuck", async || observer.stuck() == 1).await;
    assert!(observer.oldest_running().unwrap() > Duration::from_secs(5));
    release.cancel();
    until("it is not", async || observer.stuck() == 0).await;
    work.stop().await;
}

/// Case 29: a wake-up is a hint. Without it a job starts all the same, at the next poll.
#[tokio::test]
async fn case_29_a_lost_wake_up_delays_a_job_and_no_more() {
    let site = Site::shared().await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(1, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    // Another client waits for the same markers and gets some of them: Redis serves the longest waiting client.
    let stolen = Arc::new(AtomicU32::new(0));
    let marker = format!("{}:{{q.0}}:mk:0", site.queue.config().prefix);
    let (count, mut redis) = (Arc::clone(&stolen), plain_connection(&shared_redis_url()).await);
    let thief = tokio::spawn(async move {
        loop {
            let _: redis::Value =
                redis::cmd("BZPOPMIN").arg(&marker).arg(0).query_async(&mut redis).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut pushed = 0;
    while stolen.load(Ordering::Relaxed) < 3 {
        site.queue.push(&[ping("acme", pushed)]).await.unwrap();
        pushed += 1;
        until("it ran", async || ran.list().len() >= pushed as usize).await;
    }
    thief.abort();
    work.stop().await;
}
