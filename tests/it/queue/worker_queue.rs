//! The queue behind a running apalis worker.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jobs::Job as _;
use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampedJob, Stamper};
use jobs::queue::{
    FetchedJob, Finish, JobState, Lane, Queue, QueueConfig, Verdict, WorkerOptions, WorkerQueue,
    run_for_tests,
};
use jobs::tenant::TenantContext;
use tests::services::{RedisServer, shared_redis_url};
use tokio::task::JoinHandle;

use super::support::{Ping, config_at, plain_connection, stamper, tenant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Patience for whatever a loaded machine may take its time with.
const PATIENCE: Duration = Duration::from_secs(30);

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Site {
    queue: Queue,
    stamper: Stamper,
}

impl Site {
    async fn new(config: QueueConfig) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        Self { queue: Queue::connect(config).await.unwrap(), stamper: stamper(clock) }
    }

    async fn shared() -> Self {
        Self::new(quick(config_at(shared_redis_url()))).await
    }

    fn ping(&self, name: &str, n: u32) -> StampedJob {
        self.stamper.stamp(&TenantContext::for_tests(name), &Ping { n }, EnqueueOptions::default()).unwrap()
    }

    fn work<F>(&self, concurrency: usize, handler: impl Fn(FetchedJob) -> F + Clone + Send + 'static) -> Work
    where
        F: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        let queue =
            WorkerQueue::start(self.queue.clone(), WorkerOptions::new([Lane::of::<Ping>()], concurrency));
        let running = tokio::spawn(run_for_tests(queue.backend(), handler));
        Work { queue, running }
    }
}

struct Work {
    queue: WorkerQueue,
    running: JoinHandle<Result<(), Failure>>,
}

/// A lease that a test can wait for.
fn quick(mut config: QueueConfig) -> QueueConfig {
    config.lease = Duration::from_millis(1_200);
    config.call_deadline = Duration::from_millis(400);
    config
}

impl Work {
    async fn stop(self) -> jobs::queue::StopReport {
        let report = self.queue.stop(PATIENCE).await;
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("the worker ends with its queue")
            .unwrap()
            .unwrap();
        report
    }
}

/// Ids of jobs whose handler ran, in order.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    fn add(&self, job: &FetchedJob) {
        self.0.lock().unwrap().push(job.id.to_string());
    }

    fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn every_job_runs_once_and_the_worker_stops_when_told() {
    let site = Site::shared().await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(8, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    let jobs: Vec<_> =
        (0..300).map(|n| site.ping(["acme", "globex", "initech"][n as usize % 3], n)).collect();
    site.queue.push(&jobs).await.unwrap();
    until("all ran", async || ran.list().len() >= 300).await;
    let report = work.stop().await;
    assert_eq!((report.unstarted, report.interrupted), (0, 0));
    let once: BTreeSet<_> = ran.list().into_iter().collect();
    assert_eq!((once.len(), ran.list().len()), (300, 300));
    let stats = site.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!((stats.completed_total, stats.open()), (100, 0));
}

/// Wake-ups are quick: an idle worker does not wait for its poll.
#[tokio::test]
async fn an_idle_worker_starts_a_job_long_before_its_poll() {
    let site = Site::shared().await;
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(2, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    let mut waits = Vec::new();
    for n in 0..20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let pushed = Instant::now();
        site.queue.push(&[site.ping("acme", n)]).await.unwrap();
        until("it ran", async || ran.list().len() > n as usize).await;
        waits.push(pushed.elapsed());
    }
    waits.sort();
    assert!(waits[10] < Duration::from_millis(300), "half of them took {:?} and more", waits[10]);
    work.stop().await;
}

#[tokio::test]
async fn verdicts_errors_and_panics_end_as_they_should() {
    let site = Site::shared().await;
    let work = site.work(4, |job| async move {
        match (job.attempts, job.wire.contains("\"n\":1}")) {
            (0, true) => panic!("on purpose"),
            (0, false) => Err("the service failed".into()),
            _ => Ok(Verdict::Completed.into()),
        }
    });
    let (panics, fails) = (site.ping("acme", 1), site.ping("acme", 2));
    site.queue.push(&[panics.clone(), fails.clone()]).await.unwrap();
    let acme = tenant("acme");
    for (job, text) in [(&panics, "the handler panicked"), (&fails, "the service failed")] {
        let mut reason = None;
        until("it failed", async || {
            let status = site.queue.lookup(&acme, job.id()).await.unwrap().unwrap();
            reason = status.reason.or(reason.take());
            status.attempts == 1 || status.state == JobState::Completed
        })
        .await;
        assert_eq!(reason.unwrap().text, text);
    }
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
            if job.wire.contains("\"n\":0}") {
                job.cancel.cancelled().await;
                return Ok(Verdict::Released.into());
            }
            std::future::pending().await
        }
    });
    let jobs: Vec<_> = (0..5).map(|n| site.ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    until("two run", async || ran.list().len() == 2).await;
    let running = work.running;
    let report = work.queue.stop(Duration::from_millis(600)).await;
    running.abort();
    assert_eq!((report.unstarted, report.interrupted), (0, 1));
    let acme = tenant("acme");
    let stats = site.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.available, stats.active), (5, 0));
    for job in &jobs[..2] {
        let status = site.queue.lookup(&acme, job.id()).await.unwrap().unwrap();
        assert_eq!((status.interruptions, status.attempts, status.deaths), (1, 0, 0));
    }
}

/// Cases 4 and 6: the token fires before anybody else can have the job.
#[tokio::test]
async fn a_job_whose_lease_cannot_be_confirmed_is_cancelled_before_the_lease_ends() {
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
    site.queue.push(&[site.ping("acme", 0)]).await.unwrap();
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
    let jobs: Vec<_> = (0..200).map(|n| site.ping("acme", n)).collect();
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

/// Case 28: every connection is cut at once, again and again.
#[tokio::test]
async fn a_worker_survives_cut_connections() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let site = Site::new(quick(config_at(server.url()))).await;
    let work = site.work(4, |_| async { Ok(Verdict::Completed.into()) });
    for n in 0..100 {
        let job = site.ping("acme", n);
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
    let site = Site::shared().await;
    let started = Arc::new(tokio::sync::Notify::new());
    let start = Arc::clone(&started);
    // As `kill -9` does: its runtime stops between two instructions, nothing is given back, nothing renewed.
    let machine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (config, stamper) = (site.queue.config().clone(), site.stamper.clone());
    machine.spawn(async move {
        let site = Site { queue: Queue::connect(config).await.unwrap(), stamper };
        let _dying = site.work(3, move |_| {
            start.notify_one();
            std::future::pending()
        });
        std::future::pending::<()>().await;
    });
    let jobs: Vec<_> = (0..3).map(|n| site.ping("acme", n)).collect();
    site.queue.push(&jobs).await.unwrap();
    tokio::time::timeout(PATIENCE, started.notified()).await.unwrap();
    machine.shutdown_background();
    let heir = site.work(3, |_| async { Ok(Verdict::Completed.into()) });
    let acme = tenant("acme");
    until("the heir did them", async || site.queue.stats(&acme).await.unwrap().completed_total == 3).await;
    heir.stop().await;
}

/// The queue's own quarantine is told to whoever waits for the job.
#[tokio::test]
async fn a_job_that_the_queue_quarantines_is_reported() {
    let site = Site::shared().await;
    let mut work = site.work(1, |_| async { Ok(Verdict::Completed.into()) });
    let mut reports = work.queue.take_quarantined().unwrap();
    let job = site.ping("acme", 0);
    let mut redis = plain_connection(&shared_redis_url()).await;
    let prefix = format!("{}:{{q.0}}", site.queue.config().prefix);
    // A job in the list whose record is gone.
    let mut lane = redis::cmd("HGET");
    lane.arg(format!("{prefix}:L")).arg(format!("{}@1", Ping::TYPE));
    let mut known: Option<u32> = None;
    until("the lane is known", async || {
        known = lane.query_async(&mut redis).await.unwrap();
        known.is_some()
    })
    .await;
    let keep = site.ping("acme", 1);
    let mut pipe = redis::pipe();
    pipe.atomic()
        .cmd("LPUSH")
        .arg(format!("{prefix}:t:acme:{}.1", known.unwrap()))
        .arg(job.id().to_string())
        .ignore();
    pipe.query_async::<()>(&mut redis).await.unwrap();
    site.queue.push(std::slice::from_ref(&keep)).await.unwrap();
    let report = tokio::time::timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!((report.id, report.code, report.tenant.as_str()), (job.id(), "record_missing", "acme"));
    let acme = tenant("acme");
    until("the next job ran", async || site.queue.stats(&acme).await.unwrap().completed_total == 1).await;
    let status = site.queue.lookup(&acme, job.id()).await.unwrap().unwrap();
    assert_eq!(status.state, JobState::Quarantined);
    work.stop().await;
}

/// A worker says which lanes it serves for as long as it does.
#[tokio::test]
async fn a_lane_is_declared_while_its_worker_lives() {
    let site = Site::shared().await;
    let work = site.work(1, |_| std::future::pending());
    let (acme, job) = (tenant("acme"), site.ping("acme", 0));
    site.queue.push(std::slice::from_ref(&job)).await.unwrap();
    let declared = async || site.queue.lookup(&acme, job.id()).await.unwrap().unwrap().lane_declared;
    until("it is declared", declared).await;
    work.queue.stop(Duration::from_millis(100)).await;
    work.running.abort();
    assert!(!declared().await);
    assert_eq!(site.queue.stats(&acme).await.unwrap().undeclared["test.ping@1"], 1);
}
