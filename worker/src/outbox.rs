//! Outbox relay: pushes accepted jobs to the queue when the request that accepted them could not. What the queue loses
//! afterwards is `reconcile`'s affair.

use std::sync::Arc;
use std::time::Duration;

use jobs::clock::SharedClock;
use jobs::envelope::{StampedJob, Verifier};
use jobs::queue::{Queue, QueueError};
use stores::OutboxRow;
use stores::{OutboxRelay, StoreError};
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::periodic::Pace;

/// Younger rows are left to the process that wrote them: it pushes them itself, and removes them a second later.
const AGE: Duration = Duration::from_secs(5);
/// How many rows are read at a time.
const BATCH: u32 = 100;

/// Moves rows from every tenant's outbox to the queue. Any number of relays may run, because the queue accepts a
/// job id only once.
pub struct Relay {
    /// Where accepted jobs are read from.
    pub outbox: Arc<OutboxRelay>,
    /// Where they are pushed.
    pub queue: Queue,
    /// Checks the signature and reads the queue that an envelope names; grants no access.
    pub verifier: Verifier,
    /// Measures the age of rows.
    pub clock: SharedClock,
}

impl Relay {
    /// Relays until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pace, mut place) = (Pace::every(Duration::from_secs(1)), None);
        while pace.next(&stop).await {
            match self.relay(&mut place, &stop).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "relayed jobs from the outbox"),
                Err(error) => tracing::warn!("outbox relay failed: {}", jobs::error::report(&error)),
            }
        }
    }

    /// Pushes rows that are due, page after page, as long as pages are full and the queue takes all of them, so that
    /// what was accepted while it was away is there soon after it is back. Returns how many of them it has now.
    ///
    /// `place` is where the next call goes on: behind rows that were not taken, so that these hold up no others.
    /// `None` is the beginning.
    ///
    /// # Errors
    /// When the catalog is not available. A queue that is not available leaves the rows where they are.
    pub async fn relay(
        &self,
        place: &mut Option<OutboxRow>,
        stop: &CancellationToken,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let rows = self.outbox.outbox_due(self.clock.now(), AGE, place.as_ref(), BATCH).await?;
            let last = rows.last().filter(|_| rows.len() == BATCH as usize).cloned();
            let (taken, left) = self.page(rows).await?;
            count += taken;
            *place = last;
            // A row that stays is tried again a second later at the earliest, so that this never spins.
            if place.is_none() || left > 0 || stop.is_cancelled() {
                return Ok(count);
            }
        }
    }

    /// How many of these rows the queue has now, and how many stay in the outbox.
    async fn page(&self, rows: Vec<OutboxRow>) -> Result<(usize, usize), StoreError> {
        let mut routed = Vec::with_capacity(rows.len());
        for row in rows {
            match self.verifier.route(&row.wire) {
                Ok(job) if job.tenant_id() == &row.tenant_id => routed.push((row, job)),
                Ok(_) => self.reject(&row, "the envelope belongs to another tenant").await?,
                Err(refusal) => self.reject(&row, &refusal.to_string()).await?,
            }
        }
        let count = routed.len();
        let taken = self.push(routed).await?;
        Ok((taken, count - taken))
    }

    async fn push(&self, routed: Vec<(OutboxRow, StampedJob)>) -> Result<usize, StoreError> {
        if routed.is_empty() {
            return Ok(0);
        }
        let (rows, jobs): (Vec<_>, Vec<_>) = routed.into_iter().unzip();
        let (taken, conflicts) = match self.queue.push_accepted(&jobs).await {
            Ok(outcome) => (rows, outcome.conflicts),
            Err(error) => {
                tracing::warn!(
                    jobs = jobs.len(),
                    "the queue did not take jobs: {}",
                    jobs::error::report(&error)
                );
                // Jobs of other tenants were taken: a tenant whose keys are damaged must not block their rows.
                let QueueError::LimitReached(refused) = error else { return Ok(0) };
                let refused = |row: &OutboxRow| refused.iter().any(|limit| limit.partition == *row.tenant_id);
                (rows.into_iter().filter(|row| !refused(row)).collect(), Vec::new())
            }
        };
        // Deleted only after the push. After a crash in between the rows are pushed again, and the queue ignores
        // ids that it has.
        metrics::relayed(taken.len());
        let now = self.clock.now();
        self.outbox.outbox_done(&taken, now).await?;
        self.outbox.same_work(&jobs, &conflicts, now).await?;
        Ok(taken.len())
    }

    async fn reject(&self, row: &OutboxRow, reason: &str) -> Result<(), StoreError> {
        tracing::error!(tenant.id = %row.tenant_id, job.id = %row.job_id, "outbox row rejected: {reason}");
        self.outbox.outbox_reject(row, reason, self.clock.now()).await
    }
}
