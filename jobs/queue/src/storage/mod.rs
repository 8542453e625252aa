//! The queue as the storage of any apalis program: [`Storage`] takes the place of a `RedisStorage` of `apalis-redis`.
//!
//! A task is a job of the skill of its storage's queue. The README has an example; `examples/mails.rs` is a whole
//! program.

mod board;
mod record;
mod running;
mod settle;

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::codec::Codec;
use apalis_core::backend::finalize::Durable;
use apalis_core::backend::future::BoxSyncFuture;
use apalis_core::backend::{Backend, BackendConfig, WireFormatBackend};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use chrono::{DateTime, Utc};
use futures::{FutureExt as _, Sink};
use secrecy::SecretString;

pub use self::record::JsonCodec;
use self::running::Running;
pub use self::settle::{Settle, SettleLayer};
use crate::answers::PushOutcome;
use crate::clock::{Clock as _, SystemClock};
use crate::config::QueueConfig;
use crate::error::QueueError;
use crate::id::{InvalidId, PartitionId};
use crate::job::{NewJob, RetryPolicy, Skill};
use crate::queue::Queue;

/// Most tasks that a sink holds before it pushes them.
const HELD: usize = 500;

/// Connects to the Redis at `url`, under keys that begin with `fair-queue`. A program with other wishes makes its
/// [`Queue`] itself.
///
/// # Errors
/// As for [`Queue::connect`].
pub async fn connect(url: impl Into<SecretString>) -> Result<Queue, QueueError> {
    Queue::connect(QueueConfig::new(url.into(), "fair-queue")).await
}

/// The settings of a [`Storage`].
#[derive(Debug, Clone)]
pub struct Config {
    queue: String,
    partition: PartitionId,
    concurrency: usize,
    retry: RetryPolicy,
    idempotency_ttl: Duration,
    checks_args: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue: "default".to_owned(),
            partition: "default".parse().expect("a label of small letters names a partition"),
            concurrency: 32,
            retry: RetryPolicy::attempts(25),
            idempotency_ttl: Duration::from_secs(24 * 3_600),
            checks_args: true,
        }
    }
}

impl Config {
    /// The queue that the tasks wait in: its workers are those of the same name. Control characters become spaces.
    #[must_use]
    pub fn queue(self, queue: impl AsRef<str>) -> Self {
        Self { queue: Skill::new("", 1, queue.as_ref()).queue().to_owned(), ..self }
    }

    /// The partition of tasks that name none themselves; else `default`.
    #[must_use]
    pub fn partition(self, partition: PartitionId) -> Self {
        Self { partition, ..self }
    }

    /// How many tasks a worker has at once, running or ready to run; else 32. Where a worker has a layer that limits
    /// its concurrency, this is best the same number: tasks beyond it wait in one worker while another may be idle.
    #[must_use]
    pub fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency, ..self }
    }

    /// When a failed task is tried again, and how often, unless the task says `max_attempts`; else 25 attempts, with
    /// waits of 1 s to 5 min.
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// For how long a second task with the same idempotency key is left out, in its partition; else a day.
    #[must_use]
    pub fn idempotency_ttl(self, ttl: Duration) -> Self {
        Self { idempotency_ttl: ttl, ..self }
    }

    /// Hands out tasks as they are, whether or not their arguments can be decoded: for `apalis-workflow`, whose steps
    /// have arguments of many types in one queue. Else a task that its worker cannot decode goes to quarantine; a
    /// worker that gets such a task ends.
    #[must_use]
    pub fn any_args(self) -> Self {
        Self { checks_args: false, ..self }
    }

    /// A queue is one type of job to the queue below.
    fn skill(&self) -> Skill {
        Skill::new(&self.queue, 1, &self.queue)
    }
}

/// A push failed. Tasks that were sent before and not yet flushed may be in the queue or not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The queue refused, or Redis failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The partition that a task's metadata names cannot be one.
    #[error("the task names no partition")]
    Partition(#[source] InvalidId),
    /// The task's metadata cannot be written.
    #[error("the task's metadata cannot be written")]
    Metadata(#[source] serde_json::Error),
}

/// Tasks with arguments of type `T` on a [`Queue`]: a sink for those that push, a backend for workers, and what a board
/// lists. Clones share the connection; each of them may be a worker's.
///
/// As a backend it never fails, and outages of Redis do not end its worker.
#[derive(Debug)]
pub struct Storage<T, C = JsonCodec> {
    queue: Queue,
    config: Config,
    codec: C,
    outgoing: Outgoing,
    /// The worker's end, from the worker's first poll to its last.
    running: Option<Running>,
    stopping: Option<BoxSyncFuture<()>>,
    args: PhantomData<fn() -> T>,
}

/// Tasks on their way to Redis.
#[derive(Debug, Default)]
struct Outgoing {
    held: Vec<NewJob>,
    call: Option<BoxSyncFuture<Result<PushOutcome, QueueError>>>,
}

impl<T> Storage<T> {
    /// A storage whose queue is called like the type of its arguments.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        let config = Config::default().queue(std::any::type_name::<T>());
        Self::with(queue, config, JsonCodec)
    }
}

impl<T, C> Storage<T, C> {
    fn with(queue: Queue, config: Config, codec: C) -> Self {
        let (outgoing, running, stopping) = (Outgoing::default(), None, None);
        Self { queue, config, codec, outgoing, running, stopping, args: PhantomData }
    }

    /// With other settings.
    #[must_use]
    pub fn with_config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// With another codec for the arguments.
    #[must_use]
    pub fn with_codec<D>(self, codec: D) -> Storage<T, D> {
        Storage::with(self.queue, self.config, codec)
    }

    /// The queue that the tasks are in, for what apalis has no words for: limits, pauses, cancelling, dead letters.
    #[must_use]
    pub const fn inner(&self) -> &Queue {
        &self.queue
    }

    fn now(&self) -> DateTime<Utc> {
        self.queue.config().clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }
}

impl<T, C: Clone> Clone for Storage<T, C> {
    fn clone(&self) -> Self {
        Self::with(self.queue.clone(), self.config.clone(), self.codec.clone())
    }
}

impl<T, C> Backend for Storage<T, C>
where
    C: Codec<T, Compact = Vec<u8>>,
    C::Error: std::fmt::Display,
{
    type Task = Task<Vec<u8>>;
    type Error = StorageError;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), StorageError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Vec<u8>>, StorageError>>> {
        let now = self.now();
        let (queue, config, codec) = (&self.queue, &self.config, &self.codec);
        let running = self.running.get_or_insert_with(|| Running::start(queue.clone(), config, worker, now));
        let check = |args: &Vec<u8>| match codec.decode(args) {
            Err(error) if config.checks_args => Err(error.to_string()),
            _ => Ok(()),
        };
        loop {
            let Some(job) = ready!(running.next(cx, worker)) else { return Poll::Ready(None) };
            if let Some(task) = running::task(&job, config, (worker.name(), now), check) {
                return Poll::Ready(Some(Ok(task)));
            }
        }
    }

    /// Gives back what no handler has had, and waits until Redis knows how every task has ended.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), StorageError>> {
        if let Some(running) = self.running.take() {
            let patience = self.queue.config().call_deadline;
            self.stopping = Some(running.stop(patience).boxed().into());
        }
        if let Some(stopping) = &mut self.stopping {
            ready!(stopping.poll_unpin(cx));
            self.stopping = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T, C> BackendConfig for Storage<T, C> {
    type Args = T;
    type Id = RandomId;
    type Kind = Durable;
    type Config = Config;
    type Layer = SettleLayer;

    fn config(&self) -> &Config {
        &self.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> SettleLayer {
        SettleLayer::new(self.config.retry)
    }
}

impl<T, C: Send + 'static> WireFormatBackend for Storage<T, C> {
    type Codec = C;
    type Compact = Vec<u8>;

    fn codec(&self) -> &C {
        &self.codec
    }
}

impl<T, C: Unpin> Sink<Task<Vec<u8>>> for Storage<T, C> {
    type Error = StorageError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StorageError>> {
        if self.outgoing.held.len() < HELD { Poll::Ready(Ok(())) } else { self.poll_flush(cx) }
    }

    fn start_send(self: Pin<&mut Self>, task: Task<Vec<u8>>) -> Result<(), StorageError> {
        let this = self.get_mut();
        let job = record::job_of(task, &this.config, this.now())?;
        this.outgoing.held.push(job);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StorageError>> {
        let Self { queue, outgoing, .. } = self.get_mut();
        loop {
            if let Some(call) = &mut outgoing.call {
                let answer = ready!(call.poll_unpin(cx));
                outgoing.call = None;
                if let Err(error) = answer {
                    // The caller sends again what it does not know to be there.
                    outgoing.held.clear();
                    return Poll::Ready(Err(error.into()));
                }
            }
            if outgoing.held.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let (queue, jobs) = (queue.clone(), std::mem::take(&mut outgoing.held));
            outgoing.call = Some(async move { queue.push(&jobs).await }.boxed().into());
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StorageError>> {
        self.poll_flush(cx)
    }
}
