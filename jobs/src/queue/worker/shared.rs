//! What the tasks of one worker queue share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::buffer::Buffer;
use super::claims::Claims;
use super::job::QuarantinedJob;
use super::ticket::FinishRequest;
use super::worker_queue::WorkerOptions;
use crate::queue::client::Queue;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) options: WorkerOptions,
    /// Random, so that two replicas never share it.
    pub(super) name: String,
    pub(super) buffer: Buffer,
    pub(super) claims: Claims,
    /// One permit for each job that may be claimed.
    pub(super) slots: Arc<Semaphore>,
    /// One channel for each shard: one that cannot be reached delays only its own jobs.
    finishes: Vec<mpsc::Sender<FinishRequest>>,
    pub(super) quarantined: mpsc::Sender<QuarantinedJob>,
    /// No more jobs.
    pub(super) stopping: CancellationToken,
    /// No more anything.
    pub(super) ending: CancellationToken,
    last_poll: Mutex<Instant>,
}

impl Shared {
    pub(super) fn new(
        queue: Queue,
        options: WorkerOptions,
        finishes: Vec<mpsc::Sender<FinishRequest>>,
        quarantined: mpsc::Sender<QuarantinedJob>,
    ) -> Self {
        Self {
            name: hex::encode(rand::random::<[u8; 8]>()),
            slots: Arc::new(Semaphore::new(options.concurrency.max(1))),
            buffer: Buffer::default(),
            claims: Claims::default(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            last_poll: Mutex::new(Instant::now()),
            queue,
            options,
            finishes,
            quarantined,
        }
    }

    pub(super) fn finishes(&self, shard: u16) -> &mpsc::Sender<FinishRequest> {
        &self.finishes[usize::from(shard)]
    }

    pub(super) fn polled(&self) {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn last_poll(&self) -> Instant {
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever listens. Nobody has to.
    pub(super) fn report_quarantined(
        &self,
        tenant: &str,
        id: &str,
        wire: Option<String>,
        code: &'static str,
    ) {
        tracing::warn!(tenant.id = tenant, job.id = id, code, "job quarantined by the queue");
        if let (Ok(tenant), Ok(id)) = (tenant.parse(), id.parse()) {
            self.quarantined.try_send(QuarantinedJob { tenant, id, wire, code }).ok();
        }
    }
}
