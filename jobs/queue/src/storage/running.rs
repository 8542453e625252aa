//! A worker's end of a storage: what claims jobs for it from its first poll to its last.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::Backend as _;
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::answers::JobState;
use crate::apalis::JobBackend;
use crate::finish::Verdict;
use crate::queue::Queue;
use crate::storage::Config;
use crate::storage::record::{Described, task_of};
use crate::worker::claims::TicketGuard;
use crate::worker::worker_queue::{FetchedJob, WorkerOptions, WorkerQueue};

/// How often it looks whether its worker is to stop, which apalis tells no one.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Running {
    jobs: JobBackend<FetchedJob>,
    /// `None` once it is being stopped.
    queue: Option<WorkerQueue>,
    stop_watch: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(queue: Queue, config: &Config, worker: &WorkerContext, now: DateTime<Utc>) -> Self {
        let options = WorkerOptions {
            name: worker_name(worker.name(), now),
            ..WorkerOptions::new([config.skill()], config.concurrency)
        };
        let queue = WorkerQueue::start(queue, options);
        let (observer, worker) = (queue.observer(), worker.clone());
        let stop_watch = tokio::spawn(async move {
            // A worker that stops waits for its handlers, and takes nothing of what was claimed for it meanwhile.
            while !worker.is_shutting_down() {
                tokio::time::sleep(LOOK).await;
            }
            observer.take_no_more();
        });
        Self { jobs: queue.backend(), queue: Some(queue), stop_watch }
    }

    /// The next job; `None` when there will be no more.
    pub(super) fn next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Task<FetchedJob>>> {
        self.jobs.poll_next(cx, worker).map(|next| next.map(|Ok(job)| job))
    }

    pub(super) async fn stop(mut self, patience: Duration) {
        if let Some(queue) = self.queue.take() {
            queue.stop(patience).await;
        }
    }
}

/// A worker whose future is dropped without an end gives back what it has, unless its process ends with it.
impl Drop for Running {
    fn drop(&mut self) {
        self.stop_watch.abort();
        if let (Some(queue), Ok(runtime)) = (self.queue.take(), Handle::try_current()) {
            let patience = Duration::from_secs(1);
            runtime.spawn(async move { queue.stop(patience).await });
        }
    }
}

/// The task of a claimed job; `None` for one that `check` refuses or that is no task. It is quarantined then.
pub(super) fn task(
    job: &Task<FetchedJob>,
    config: &Config,
    (worker, now): (&str, DateTime<Utc>),
    check: impl Fn(&Vec<u8>) -> Result<(), String>,
) -> Option<Task<Vec<u8>>> {
    let guard = job.ctx().data().get::<Arc<TicketGuard>>()?;
    let fetched = &job.args;
    let described = Described {
        id: fetched.id,
        partition: &fetched.partition,
        queue: &config.queue,
        state: JobState::Active,
        attempts: fetched.attempts,
        error: None,
        payload: &fetched.payload,
    };
    let task = task_of(described, false).ok_or_else(|| "the payload is not that of a task".to_owned());
    let task = task.and_then(|task| {
        let locked_at = u64::try_from(now.timestamp()).ok();
        let task = task.lock_at(locked_at).lock_by(Some(worker.to_owned()));
        let task = task.data(Arc::clone(guard)).data(fetched.clone()).build();
        check(&task.args).map(|()| task)
    });
    task.map_err(|reason| {
        tracing::warn!(job.id = %fetched.id, reason, "a task cannot be read, it is quarantined");
        guard.finish(Verdict::Quarantined { code: "payload_unreadable", reason }.into());
    })
    .ok()
}

/// A worker's name with the second it started in, so that a board can tell.
fn worker_name(name: &str, now: DateTime<Utc>) -> String {
    format!("{name}.{}", now.timestamp())
}

/// Takes the name apart that a worker has in the queue: the worker's own with what tells its replicas apart, and when
/// it started, in seconds since 1970. A worker without a storage has a random name.
pub(super) fn own_name(name: &str) -> (String, u64) {
    let mut parts = name.rsplitn(3, '.');
    match (parts.next(), parts.next().and_then(|started| started.parse().ok()), parts.next()) {
        (Some(random), Some(started), Some(own)) => (format!("{own}-{random}"), started),
        _ => (name.to_owned(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_worker_replica_and_start() {
        let started = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let name = format!("{}.9f3a", worker_name("mails.eu", started));
        assert_eq!(own_name(&name), ("mails.eu-9f3a".to_owned(), 1_800_000_000));
        assert_eq!(own_name("9f3a"), ("9f3a".to_owned(), 0));
    }
}
