//! A queue and workers on it, in real time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jobs::clock::{SharedClock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampedJob, Stamper};
use jobs::queue::{
    FetchedJob, Finish, Lane, Queue, QueueConfig, StopReport, WorkerOptions, WorkerQueue, run_for_tests,
};
use jobs::tenant::TenantContext;
use tests::services::shared_redis_url;
use tokio::task::JoinHandle;

use crate::queue::support::{Ping, config_at, stamper};

pub(in crate::queue) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Patience for whatever a loaded machine may take its time with.
pub(in crate::queue) const PATIENCE: Duration = Duration::from_secs(30);

pub(in crate::queue) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(in crate::queue) struct Site {
    pub(in crate::queue) queue: Queue,
    pub(in crate::queue) stamper: Stamper,
}

impl Site {
    pub(in crate::queue) async fn new(config: QueueConfig) -> Self {
        let clock: SharedClock = Arc::new(SystemClock);
        Self { queue: Queue::connect(config).await.unwrap(), stamper: stamper(clock) }
    }

    pub(in crate::queue) async fn shared() -> Self {
        Self::new(config_at(shared_redis_url())).await
    }

    pub(in crate::queue) fn ping(&self, name: &str, n: u32) -> StampedJob {
        self.stamper.stamp(&TenantContext::for_tests(name), &Ping { n }, EnqueueOptions::default()).unwrap()
    }

    pub(in crate::queue) fn work<F>(
        &self,
        concurrency: usize,
        handler: impl Fn(FetchedJob) -> F + Clone + Send + 'static,
    ) -> Work
    where
        F: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        self.work_with(WorkerOptions::new([Lane::of::<Ping>()], concurrency), handler)
    }

    pub(in crate::queue) fn work_with<F>(
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

pub(in crate::queue) struct Work {
    pub(in crate::queue) queue: WorkerQueue,
    pub(in crate::queue) running: JoinHandle<Result<(), Failure>>,
}

/// A lease that a test can wait for.
pub(in crate::queue) fn quick(mut config: QueueConfig) -> QueueConfig {
    config.lease = Duration::from_millis(2_400);
    config.call_deadline = Duration::from_millis(800);
    config
}

impl Work {
    pub(in crate::queue) async fn stop(self) -> StopReport {
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
pub(in crate::queue) struct Ran(Arc<Mutex<Vec<String>>>);

impl Ran {
    pub(in crate::queue) fn add(&self, job: &FetchedJob) {
        self.0.lock().unwrap().push(job.id.to_string());
    }

    pub(in crate::queue) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
