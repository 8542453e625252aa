//! A queue and workers on it, in real time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fair_queue::clock::{Clock as _, SystemClock};
use fair_queue::testing::{run_for_tests, shared_redis_url};
use fair_queue::{
    FetchedJob, Finish, NewJob, Queue, QueueConfig, StopReport, Verdict, WorkerOptions, WorkerQueue,
};
use tokio::task::JoinHandle;

use crate::support::{EnqueueOptions, Ping, config_at, make, skill_of};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Timeout for everything that a loaded machine may be slow at.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A job of the type that the sites' workers run.
pub(crate) fn ping(name: &str, n: u32) -> NewJob {
    make(name, &Ping { n }, EnqueueOptions::default(), SystemClock.now())
}

pub(crate) struct Site {
    pub(crate) queue: Queue,
}

impl Site {
    pub(crate) async fn new(config: QueueConfig) -> Self {
        Self { queue: Queue::connect(config).await.unwrap() }
    }

    pub(crate) async fn shared() -> Self {
        Self::new(config_at(shared_redis_url())).await
    }

    pub(crate) fn work<F>(
        &self,
        concurrency: usize,
        handler: impl Fn(FetchedJob) -> F + Clone + Send + 'static,
    ) -> Work
    where
        F: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        self.work_with(WorkerOptions::new([skill_of::<Ping>()], concurrency), handler)
    }

    pub(crate) fn work_with<F>(
        &self,
        options: WorkerOptions,
        handler: impl Fn(FetchedJob) -> F + Clone + Send + 'static,
    ) -> Work
    where
        F: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        let queue = WorkerQueue::start(self.queue.clone(), options);
        let running = tokio::spawn(run_for_tests(queue.backend(), handler));
        Work { queue, running }
    }
}

pub(crate) struct Work {
    pub(crate) queue: WorkerQueue,
    pub(crate) running: JoinHandle<Result<(), Failure>>,
}

/// A lease that a test can wait for.
pub(crate) fn quick(mut config: QueueConfig) -> QueueConfig {
    config.lease = Duration::from_millis(2_400);
    config.call_deadline = Duration::from_millis(800);
    config
}

impl Work {
    pub(crate) async fn stop(self) -> StopReport {
        let report = self.queue.stop(PATIENCE).await;
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("the worker ends with its queue")
            .unwrap()
            .unwrap();
        report
    }
}

/// Gives an idle worker one job after the other, and fails when half of them wait for long.
pub(crate) async fn starts_long_before_its_poll(site: Site, jobs: u32, name: impl Fn(u32) -> String) {
    let ran = Ran::default();
    let log = ran.clone();
    let work = site.work(2, move |job| {
        log.add(&job);
        async { Ok(Verdict::Completed.into()) }
    });
    let mut waits = Vec::new();
    for n in 0..jobs {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let pushed = Instant::now();
        site.queue.push(&[ping(&name(n), n)]).await.unwrap();
        until("it ran", async || ran.list().len() > n as usize).await;
        waits.push(pushed.elapsed());
    }
    waits.sort();
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(300), "half of them took {median:?} and more");
    work.stop().await;
}

/// Ids of jobs whose handler ran, in order.
#[derive(Clone, Default)]
pub(crate) struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    pub(crate) fn add(&self, job: &FetchedJob) {
        self.0.lock().unwrap().push(job.id.to_string());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
