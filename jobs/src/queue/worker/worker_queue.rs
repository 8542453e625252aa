//! Starting and stopping the tasks behind a backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::backend::JobBackend;
use super::job::QuarantinedJob;
use super::shared::Shared;
use super::{feeder, finisher, presence, reaper, renewer, signals};
use crate::queue::client::Queue;
use crate::queue::finish::Verdict;
use crate::queue::lane::Lane;

/// What a worker can do.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The lanes it serves. Jobs of other lanes wait for a worker that serves them.
    pub lanes: Vec<Lane>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// The most jobs that one tenant gets in a row while others wait. Small is fairer, large is faster.
    pub quantum: u32,
    /// How many of the jobs that run at once can only be those of newcomers: of tenants that had nothing running when
    /// the job started, so that they need not wait for a slot behind somebody's long backlog. With 0 everybody may
    /// have every slot.
    pub reserve: usize,
}

impl WorkerOptions {
    /// A worker for `lanes` that runs `concurrency` jobs at once. A tenant gets a fiftieth of that in a row, though
    /// from 10 to 40, and a twentieth is kept for newcomers.
    #[must_use]
    pub fn new(lanes: impl IntoIterator<Item = Lane>, concurrency: usize) -> Self {
        let quantum = u32::try_from(concurrency / 50).unwrap_or(u32::MAX).clamp(10, 40);
        Self { lanes: lanes.into_iter().collect(), concurrency, quantum, reserve: concurrency / 20 }
    }
}

/// The worker's end of the queue. It takes jobs in the background from [`WorkerQueue::start`] to
/// [`WorkerQueue::stop`], whatever happens to Redis meanwhile.
///
/// Dropping it without a stop ends the background tasks; the jobs it holds come back when their leases end.
#[derive(Debug)]
pub struct WorkerQueue {
    shared: Arc<Shared>,
    feeder: JoinHandle<()>,
    finishers: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    quarantined: Option<mpsc::Receiver<QuarantinedJob>>,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReport {
    /// Jobs given back before they had started.
    pub unstarted: usize,
    /// Jobs whose handlers did not end in time; they were given back as well.
    pub interrupted: usize,
}

impl WorkerQueue {
    /// Starts taking jobs. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(queue: Queue, options: WorkerOptions) -> Self {
        let capacity = options.concurrency.max(1) * 2 + 64;
        let (finishes, requests): (_, Vec<_>) = queue.shards().map(|_| mpsc::channel(capacity)).unzip();
        let (report, quarantined) = mpsc::channel(1_024);
        let shared = Arc::new(Shared::new(queue, options, finishes, report));
        Self {
            feeder: tokio::spawn(feeder::run(Arc::clone(&shared))),
            finishers: requests
                .into_iter()
                .map(|requests| tokio::spawn(finisher::run(Arc::clone(&shared), requests)))
                .collect(),
            others: vec![
                tokio::spawn(renewer::run(Arc::clone(&shared))),
                tokio::spawn(renewer::watch(Arc::clone(&shared))),
                tokio::spawn(signals::run(Arc::clone(&shared))),
                tokio::spawn(reaper::run(Arc::clone(&shared))),
                tokio::spawn(presence::run(Arc::clone(&shared))),
            ],
            shared,
            quarantined: Some(quarantined),
        }
    }

    /// The backend to build an apalis worker on. The worker ends by itself when this queue stops.
    #[must_use]
    pub fn backend(&self) -> JobBackend {
        JobBackend::new(Arc::clone(&self.shared))
    }

    /// A view that outlives this value.
    #[must_use]
    pub fn observer(&self) -> WorkerObserver {
        WorkerObserver { shared: Arc::clone(&self.shared) }
    }

    /// Jobs that the queue itself quarantined, as this process finds them. Can be taken once.
    pub const fn take_quarantined(&mut self) -> Option<mpsc::Receiver<QuarantinedJob>> {
        self.quarantined.take()
    }

    /// Stops: no new jobs; those that did not start go back; running ones have until shortly before
    /// `deadline`, then their tokens fire; what still runs at `deadline` goes back. Nothing of this counts as
    /// an attempt.
    pub async fn stop(mut self, deadline: Duration) -> StopReport {
        let end = Instant::now() + deadline;
        let grace = (deadline / 4).min(Duration::from_secs(2));
        self.shared.stopping.cancel();
        // The feeder may be in the middle of a claim, which would be lost.
        let patience = self.shared.queue.config().call_deadline * 2;
        tokio::time::timeout(patience, &mut self.feeder).await.ok();
        let unstarted = self.shared.buffer.close();
        let report = StopReport { unstarted: unstarted.len(), interrupted: 0 };
        drop(unstarted);
        let rest = end.saturating_duration_since(Instant::now());
        if self.shared.claims.drained(rest.saturating_sub(grace)).await {
            return self.end(report).await;
        }
        self.shared.claims.cancel_all();
        self.shared.claims.drained(grace).await;
        let interrupted = self.give_back().await;
        self.end(StopReport { interrupted, ..report }).await
    }

    async fn give_back(&self) -> usize {
        let mut count = 0;
        for ticket in self.shared.claims.tickets() {
            if ticket.settle() {
                count += 1;
                let request = ticket.request(Verdict::Released.into());
                let finishes = self.shared.finishes(ticket.claim.shard);
                tokio::time::timeout(Duration::from_secs(1), finishes.send(request)).await.ok();
            }
        }
        count
    }

    async fn end(mut self, report: StopReport) -> StopReport {
        // Until Redis knows of the last finish, or is evidently away.
        self.shared.claims.drained(self.shared.queue.config().call_deadline).await;
        self.shared.ending.cancel();
        let left = self.shared.queue.heartbeat(&self.shared.name, &self.shared.options.lanes, false);
        tokio::time::timeout(Duration::from_secs(1), left).await.ok();
        tokio::time::timeout(Duration::from_secs(1), join_all(&mut self.finishers)).await.ok();
        report
    }
}

impl Drop for WorkerQueue {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
        self.shared.ending.cancel();
        self.feeder.abort();
        self.finishers.iter().chain(&self.others).for_each(JoinHandle::abort);
        drop(self.shared.buffer.close());
    }
}

/// Watches a [`WorkerQueue`].
#[derive(Debug, Clone)]
pub struct WorkerObserver {
    shared: Arc<Shared>,
}

impl WorkerObserver {
    /// When Redis last answered the task that fetches jobs. A worker whose last poll is long ago is not
    /// healthy, whatever else it says.
    #[must_use]
    pub fn last_poll(&self) -> Instant {
        self.shared.last_poll()
    }

    /// Jobs this process holds now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.claims.job_count()
    }

    /// Jobs that go on although they were told to stop more than 5 s ago: somebody cancelled them, or their claim
    /// is lost. They hold their slots; anything but 0 for long is a handler that never yields.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.shared.claims.stuck(signals::STUCK)
    }

    /// As [`crate::queue::Queue::eviction_policy`].
    #[must_use]
    pub fn eviction_policy(&self) -> Option<Arc<str>> {
        self.shared.queue.eviction_policy()
    }

    /// How long the job that runs longest has been running.
    #[must_use]
    pub fn oldest_running(&self) -> Option<Duration> {
        self.shared.claims.oldest()
    }
}
