//! Starting and stopping the tasks behind a backend, and their shared state.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use apalis_core::task::Task;
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::apalis::JobBackend;
use crate::finish::Verdict;
use crate::id::JobId;
use crate::id::PartitionId;
use crate::job::{RetryRule, Skill};
use crate::queue::Queue;
use crate::worker::claims::{Claims, FinishRequest};
use crate::worker::{feeder, finisher, leases};

/// The options of a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// What the worker is called in lists, before a random part that tells replicas apart; may be empty.
    pub name: String,
    /// The skills it serves. Jobs of other skills wait for a worker that serves them.
    pub skills: Vec<Skill>,
    /// Number of slots: how many jobs run at once.
    pub concurrency: usize,
    /// The most jobs that one partition gets in a row while others wait. Small is fairer, large is faster.
    pub quantum: u32,
    /// How many slots are reserved for newcomers: partitions that had nothing running when the job started, so that
    /// they need not wait behind another partition's long backlog. With 0 every partition may use every slot.
    pub reserve: usize,
    /// The retry policy for jobs whose handlers panic or fail without a verdict.
    pub retry: RetryRule,
}

impl WorkerOptions {
    /// A worker for `skills` that runs `concurrency` jobs at once. A partition gets a fiftieth of that in a row, though
    /// from 10 to 40, and a twentieth is kept for newcomers.
    #[must_use]
    pub fn new(skills: impl IntoIterator<Item = Skill>, concurrency: usize) -> Self {
        let quantum = u32::try_from(concurrency / 50).unwrap_or(u32::MAX).clamp(10, 40);
        Self {
            name: String::new(),
            skills: skills.into_iter().collect(),
            concurrency,
            quantum,
            reserve: concurrency / 20,
            retry: RetryRule::default(),
        }
    }
}

/// The worker's end of the queue. It fetches jobs in the background from [`WorkerQueue::start`] to
/// [`WorkerQueue::stop`], also across outages of Redis.
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
    /// Jobs returned before they had started.
    pub unstarted: usize,
    /// Jobs whose handlers did not end in time; they were returned to the queue as well.
    pub interrupted: usize,
}

impl WorkerQueue {
    /// Starts taking jobs. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(queue: impl Into<Queue>, options: WorkerOptions) -> Self {
        let queue = queue.into();
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
                tokio::spawn(leases::renew_at_intervals(Arc::clone(&shared))),
                tokio::spawn(leases::watch_leases(Arc::clone(&shared))),
                tokio::spawn(leases::stop_cancelled(Arc::clone(&shared))),
                tokio::spawn(leases::reap_at_intervals(Arc::clone(&shared))),
                tokio::spawn(leases::declare_at_intervals(Arc::clone(&shared))),
            ],
            shared,
            quarantined: Some(quarantined),
        }
    }

    /// The backend to build an apalis worker on. The worker ends by itself when this queue stops. Its tasks are jobs
    /// as they were claimed, converted to `J`.
    #[must_use]
    pub fn backend<J: From<FetchedJob>>(&self) -> JobBackend<J> {
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

    /// Stops fetching. Jobs that did not start are returned to the queue; running ones have until shortly before
    /// `deadline`, then their tokens fire; jobs that still run at `deadline` are returned too. None of this counts as
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
        // Until Redis has the last finish, or evidently does not answer.
        self.shared.claims.drained(self.shared.queue.config().call_deadline).await;
        self.shared.ending.cancel();
        let left = self.shared.queue.heartbeat(&self.shared.name, &self.shared.options.skills, false);
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

/// Watches a [`WorkerQueue`], and tells it whether to fetch.
#[derive(Debug, Clone)]
pub struct WorkerObserver {
    shared: Arc<Shared>,
}

impl WorkerObserver {
    /// Fetches no more, and gives back what no handler has had. What runs goes on.
    pub(crate) fn take_no_more(&self) {
        self.shared.stopping.cancel();
        drop(self.shared.buffer.close());
    }

    /// Tells the worker to claim no more jobs, or to go on. What it has claimed runs to its end, with its leases
    /// renewed, and the worker stays declared. Takes effect within seconds: see [`WorkerObserver::is_fetching`].
    pub fn set_fetching(&self, fetching: bool) {
        self.shared.fetching.send_if_modified(|was| std::mem::replace(was, fetching) != fetching);
    }

    /// Whether the worker may claim a job. Until a worker that was told to stop has taken note, it may.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        !self.shared.rests.load(Ordering::Acquire)
    }

    /// When Redis last answered the task that fetches jobs. A worker whose last poll is long ago is not healthy, even
    /// if its other checks pass.
    #[must_use]
    pub fn last_poll(&self) -> Instant {
        self.shared.last_poll()
    }

    /// Jobs this process holds now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.claims.job_count()
    }

    /// How many jobs this process runs at the same time.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.shared.options.concurrency.max(1)
    }

    /// Jobs of workers that died that this process has found and taken back.
    #[must_use]
    pub fn taken_back(&self) -> u64 {
        self.shared.taken_back.load(Ordering::Relaxed)
    }

    /// Jobs that still run more than 5 s after their stop signal: they were cancelled, or their claim is lost. They
    /// hold their slots; anything but 0 for long is a handler that never yields.
    #[must_use]
    pub fn stuck(&self) -> usize {
        self.shared.claims.stuck(leases::STUCK)
    }

    /// As [`crate::Queue::eviction_policy`].
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

/// A job that this process has claimed.
#[derive(Debug, Clone)]
pub struct FetchedJob {
    /// The partition that the job belongs to.
    pub partition: PartitionId,
    /// Its id.
    pub id: JobId,
    /// The pushed bytes. Not authenticated: every client with access to Redis can write them.
    pub payload: Bytes,
    /// How often its handler failed before.
    pub attempts: u32,
    /// How often a worker vanished while it ran.
    pub deaths: u32,
    /// How often it was returned at a shutdown; not counted as attempts.
    pub interruptions: u32,
    /// How often it came when its partition could not run, or a service that it needs was busy or away. Counts to 99.
    pub parks: u32,
    /// Whether it was a dead letter or in quarantine, and was started again.
    pub redriven: bool,
    /// Grows with every claim: a store can refuse a writer that comes with a smaller one than it has seen.
    pub fence: u64,
    /// Fires when the handler must stop: the claim is lost or about to be, or the process shuts down.
    pub cancel: CancellationToken,
    pub(crate) called_off: Arc<AtomicBool>,
}

impl FetchedJob {
    /// Whether [`FetchedJob::cancel`] fired because the job was cancelled: then it does not come back.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.called_off.load(Ordering::Acquire)
    }
}

/// A job that the queue itself quarantined, for programs that wait for its result.
#[derive(Debug, Clone)]
pub struct QuarantinedJob {
    /// The partition that the job belongs to.
    pub partition: PartitionId,
    /// Its id.
    pub id: JobId,
    /// The pushed payload, unless the record is missing.
    pub payload: Option<Bytes>,
    /// Why: `worker_died`, `record_damaged` or `record_missing`.
    pub code: &'static str,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) options: WorkerOptions,
    /// Random, so that two replicas never share it.
    pub(crate) name: String,
    pub(crate) buffer: Buffer,
    pub(crate) claims: Claims,
    /// One permit for each job that may be claimed.
    pub(crate) slots: Arc<Semaphore>,
    /// One channel per shard: a shard that cannot be reached delays only its own jobs.
    finishes: Vec<mpsc::Sender<FinishRequest>>,
    pub(crate) quarantined: mpsc::Sender<QuarantinedJob>,
    /// No more jobs.
    pub(crate) stopping: CancellationToken,
    /// No more anything.
    pub(crate) ending: CancellationToken,
    /// Whether jobs are to be claimed.
    fetching: watch::Sender<bool>,
    /// Whether the feeder has taken note that none are.
    pub(super) rests: AtomicBool,
    last_poll: Mutex<Instant>,
    /// Jobs of lost claims.
    pub(crate) taken_back: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        queue: Queue,
        options: WorkerOptions,
        finishes: Vec<mpsc::Sender<FinishRequest>>,
        quarantined: mpsc::Sender<QuarantinedJob>,
    ) -> Self {
        let random = hex::encode(rand::random::<[u8; 8]>());
        Self {
            name: if options.name.is_empty() { random } else { format!("{}.{random}", options.name) },
            slots: Arc::new(Semaphore::new(options.concurrency.max(1))),
            buffer: Buffer::default(),
            claims: Claims::default(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            fetching: watch::Sender::new(true),
            rests: AtomicBool::new(false),
            last_poll: Mutex::new(Instant::now()),
            taken_back: AtomicU64::new(0),
            queue,
            options,
            finishes,
            quarantined,
        }
    }

    pub(crate) fn finishes(&self, shard: u16) -> &mpsc::Sender<FinishRequest> {
        &self.finishes[usize::from(shard)]
    }

    /// Whether jobs are to be claimed.
    pub(super) fn is_fetching(&self) -> bool {
        *self.fetching.borrow()
    }

    /// Waits until jobs are to be claimed, or none.
    pub(super) async fn told(&self, fetching: bool) {
        // The sender lives as long as this value.
        let _ = self.fetching.subscribe().wait_for(|told| *told == fetching).await;
    }

    pub(crate) fn polled(&self) {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last_poll(&self) -> Instant {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports to the listener, if there is one. Never blocks.
    pub(crate) fn report_quarantined(
        &self,
        partition: &str,
        id: &str,
        payload: Option<Bytes>,
        code: &'static str,
    ) {
        tracing::warn!(tenant.id = partition, job.id = id, code, "job quarantined by the queue");
        if let (Ok(partition), Ok(id)) = (partition.parse(), id.parse()) {
            self.quarantined.try_send(QuarantinedJob { partition, id, payload, code }).ok();
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: VecDeque<Task<FetchedJob>>,
    wakers: Vec<Waker>,
    closed: bool,
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the tasks back when the buffer is closed.
    pub(crate) fn add(&self, tasks: Vec<Task<FetchedJob>>) -> Result<(), Vec<Task<FetchedJob>>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(tasks);
        }
        inner.tasks.extend(tasks);
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The next task; `None` when there will be no more.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Option<Task<FetchedJob>>> {
        let mut inner = self.lock();
        if let Some(task) = inner.tasks.pop_front() {
            return Poll::Ready(Some(task));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        if !inner.wakers.iter().any(|known| known.will_wake(waker)) {
            inner.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// Ends every worker that polls, and hands out what none of them took.
    pub(crate) fn close(&self) -> Vec<Task<FetchedJob>> {
        let mut inner = self.lock();
        inner.closed = true;
        let wakers = std::mem::take(&mut inner.wakers);
        let tasks = inner.tasks.drain(..).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        tasks
    }
}

/// Exponential backoff with full jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    pub(super) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(super) const fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    pub(super) async fn wait(&mut self) {
        let longest = self.next;
        self.next = (self.next * 2).min(Self::LONGEST);
        tokio::time::sleep(longest.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// A period of about `mean`, different each time.
pub(super) fn jittered(mean: Duration) -> Duration {
    mean.mul_f64(rand::random_range(0.8..1.2))
}
