//! A queue with storages on it, and apalis workers on those.

use std::sync::{Arc, Mutex};

use apalis::prelude::{ExecutionContext, WorkerContext, WorkerError};
use fair_queue::storage::{Config, Storage};
use fair_queue::testing::shared_redis_url;
use fair_queue::{JobId, JobState, JobStatus, PartitionId, Queue, QueueConfig};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::support::{config_at, tenant};
use crate::worker_queue::site::{PATIENCE, until};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) to: String,
}

pub(crate) fn mail(to: impl Into<String>) -> Mail {
    Mail { to: to.into() }
}

pub(crate) struct Site {
    pub(crate) queue: Queue,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(config_at(shared_redis_url())).await
    }

    pub(crate) async fn with(config: QueueConfig) -> Self {
        Self { queue: Queue::connect(config).await.unwrap() }
    }

    pub(crate) fn mails(&self) -> Storage<Mail> {
        self.mails_with(|config| config)
    }

    pub(crate) fn mails_with(&self, change: impl FnOnce(Config) -> Config) -> Storage<Mail> {
        Storage::new(self.queue.clone()).with_config(change(Config::default().queue("mails").concurrency(8)))
    }

    /// Numbers of the default partition: completed, waiting, to be tried again, dead or in quarantine.
    pub(crate) async fn counts(&self) -> (u64, u64, u64, u64) {
        let stats = self.queue.stats(&tenant("default")).await.unwrap();
        let waiting = stats.available + stats.scheduled;
        (stats.completed_total, waiting, stats.retryable, stats.discarded + stats.quarantined)
    }

    pub(crate) async fn status(&self, id: JobId) -> Option<JobStatus> {
        self.queue.lookup(&tenant("default"), id).await.unwrap()
    }

    pub(crate) async fn until_in(&self, id: JobId, state: JobState) -> JobStatus {
        until("it is in that state", async || {
            self.status(id).await.is_some_and(|status| status.state == state)
        })
        .await;
        self.status(id).await.unwrap()
    }
}

/// A worker that runs until it is stopped.
pub(crate) struct Work {
    pub(crate) context: WorkerContext,
    pub(crate) running: JoinHandle<Result<(), WorkerError>>,
}

impl Work {
    pub(crate) fn new(
        context: &WorkerContext,
        run: impl Future<Output = Result<(), WorkerError>> + Send + 'static,
    ) -> Self {
        Self { context: context.clone(), running: tokio::spawn(run) }
    }

    pub(crate) async fn stop(self) {
        until("it has started", async || self.context.is_running()).await;
        self.context.stop().unwrap();
        self.ended().await.unwrap();
    }

    /// How it ended by itself.
    pub(crate) async fn ended(self) -> Result<(), WorkerError> {
        tokio::time::timeout(PATIENCE, self.running).await.expect("it ends").unwrap()
    }
}

/// As many, each to another.
pub(crate) fn mails_to(count: u32) -> Vec<Mail> {
    (0..count).map(|n| mail(n.to_string())).collect()
}

/// What handlers did, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) async fn until(&self, count: usize) -> Vec<String> {
        until("they ran", async || self.lines().len() >= count).await;
        self.lines()
    }
}

/// The queue's id of a task that was pushed without one of its own.
pub(crate) fn id_of(context: &ExecutionContext) -> JobId {
    context.task_id().unwrap().to_string().parse().unwrap()
}

pub(crate) fn acme() -> PartitionId {
    tenant("acme")
}
