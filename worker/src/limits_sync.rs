//! Keeps the queue's copy of tenants' limits and flow settings equal to the catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobs::error::report;
use jobs::plan::Plans;
use jobs::queue::{Flow, PartitionShare, Queue, QueueError};
use jobs::tenant::{TenantId, TenantStatus};
use stores::model::Tenant;
use stores::{SettingsRelay, StoreError};
use tokio_util::sync::CancellationToken;

use crate::periodic::Pace;

/// Tenants read from the catalog at a time.
const BATCH: u32 = 200;
/// How often one of the workers writes the settings of all tenants.
const ROUND: Duration = Duration::from_secs(300);
const TURN: &str = "limits";
/// How often one of the workers compares a part of the queue's copy with the catalog.
const COMPARED: Duration = Duration::from_secs(2);
const COMPARE: &str = "settings";

/// Tells the queue what tenants may use and whether their work flows: each change that the API could not pass on,
/// and every few minutes all of it. The lock for that round lies in Redis too, so a Redis that lost its data is
/// written again within seconds. Single entries that were changed or deleted in Redis are found by comparing, every
/// few seconds: the tenants that are served next, and a page of all others.
///
/// A tenant whose plan is not defined and that has no limits of its own is left alone, because a program that
/// embeds the worker may set its limits itself. So is a queue without a flow setting.
pub struct LimitsKeeper {
    settings: Arc<SettingsRelay>,
    queue: Queue,
    plans: Plans,
    /// How far the comparison has come in each shard.
    cursors: Mutex<BTreeMap<u16, String>>,
}

/// Why the limits could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The catalog is not available.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue is not available.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl LimitsKeeper {
    /// A keeper that writes to `queue` what `settings` say, with limits taken from `plans`.
    #[must_use]
    pub fn new(settings: Arc<SettingsRelay>, queue: Queue, plans: Plans) -> Self {
        Self { settings, queue, plans, cursors: Mutex::default() }
    }

    /// Keeps limits until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(2));
        while pace.next(&stop).await {
            if let Err(error) = self.keep().await {
                tracing::warn!("limits of tenants were not passed on: {}", report(&error));
            }
            if let Err(error) = self.compare().await {
                tracing::warn!("limits of tenants were not compared: {}", report(&error));
            }
        }
    }

    /// Writes changed settings to the queue, and all settings when this process holds the lock of the round.
    /// Returns how many tenants were written.
    ///
    /// # Errors
    /// When catalog or queue are not available.
    pub async fn keep(&self) -> Result<usize, KeepError> {
        let changed = self.changes().await?;
        let shards = self.queue.turns(TURN, ROUND).await?;
        if shards.is_empty() {
            return Ok(changed);
        }
        let round = self.round(&shards).await;
        if round.is_err()
            && let Err(error) = self.queue.turns_end(TURN, &shards).await
        {
            tracing::debug!(error = report(&error), "the turn stays taken until its time is over");
        }
        Ok(changed + round?)
    }

    async fn changes(&self) -> Result<usize, KeepError> {
        let tenants = self.settings.settings_unapplied(BATCH).await?;
        for tenant in &tenants {
            let share = self.plans.share(&tenant.plan, &tenant.limits, tenant.status);
            self.queue.partition_set(&tenant.id, with_flows(share, tenant)).await?;
            // False if they have changed again meanwhile; the next call reads them again.
            self.settings.settings_applied(tenant).await?;
        }
        Ok(tenants.len())
    }

    async fn round(&self, shards: &[u16]) -> Result<usize, KeepError> {
        let (mut after, mut told) = (None, 0);
        loop {
            let tenants = self.settings.settings_all(after.as_ref(), BATCH).await?;
            for tenant in tenants.iter().filter(|tenant| shards.contains(&self.queue.home(&tenant.id))) {
                if let Some(share) = self.decided(tenant) {
                    self.queue.partition_set(&tenant.id, share).await?;
                    told += 1;
                }
            }
            match tenants.last() {
                Some(last) if tenants.len() == BATCH as usize => after = Some(last.id.clone()),
                _ => return Ok(told),
            }
        }
    }

    /// Writes the settings of these tenants, and of queues, before jobs of theirs are enqueued in a queue that may have
    /// lost them: a paused tenant must not run meanwhile.
    ///
    /// # Errors
    /// When catalog or queue are not available.
    pub(crate) async fn restore(&self, tenants: &[TenantId]) -> Result<(), KeepError> {
        for tenants in tenants.chunks(BATCH as usize) {
            for tenant in self.settings.settings_of(tenants).await? {
                if let Some(share) = self.decided(&tenant) {
                    self.queue.partition_set(&tenant.id, share).await?;
                }
            }
        }
        for shard in tenants.iter().map(|tenant| self.queue.home(tenant)).collect::<BTreeSet<_>>() {
            self.compare_queues(shard).await?;
        }
        Ok(())
    }

    /// Compares a part of the queue's copy with the catalog, when this process holds the lock of the comparison.
    /// Returns how many tenants and queues were corrected.
    ///
    /// # Errors
    /// When catalog or queue are not available.
    pub async fn compare(&self) -> Result<usize, KeepError> {
        let mut told = 0;
        for shard in self.queue.turns(COMPARE, COMPARED).await? {
            told += self.compare_tenants(shard).await? + self.compare_queues(shard).await?;
        }
        Ok(told)
    }

    async fn compare_tenants(&self, shard: u16) -> Result<usize, KeepError> {
        let cursor = self.cursors().get(&shard).cloned().unwrap_or_else(|| "0".to_owned());
        let kept = self.queue.kept_settings(shard, &cursor).await?;
        self.cursors().insert(shard, kept.cursor);
        let kept = kept.partitions.into_iter().map(|(partition, fields)| (TenantId::from(partition), fields));
        let kept: BTreeMap<_, _> = kept.collect();
        let (names, mut told) = (kept.keys().cloned().collect::<Vec<_>>(), 0);
        for names in names.chunks(BATCH as usize) {
            for tenant in self.settings.settings_of(names).await? {
                let Some(share) = self.decided(&tenant) else { continue };
                if !kept.get(&tenant.id).is_some_and(|kept| share.differs(kept)) {
                    continue;
                }
                tracing::warn!(tenant.id = %tenant.id, "the queue had other settings of a tenant: they are set again");
                self.queue.partition_set(&tenant.id, share).await?;
                told += 1;
            }
        }
        Ok(told)
    }

    async fn compare_queues(&self, shard: u16) -> Result<usize, KeepError> {
        let (wanted, kept) = (self.settings.queue_flows().await?, self.queue.kept_flows(shard).await?);
        let mut told = 0;
        for (queue, flow) in wanted {
            if kept.get(&queue).copied().unwrap_or(Flow::Open) != flow {
                tracing::warn!(
                    job.queue = queue,
                    flow = flow.as_str(),
                    "a queue flowed otherwise: it is set again"
                );
                self.queue.queue_set(&queue, flow).await?;
                told += 1;
            }
        }
        Ok(told)
    }

    fn cursors(&self) -> MutexGuard<'_, BTreeMap<u16, String>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share that plan, limits and flow settings give a tenant; `None` when there is nothing to write to the
    /// queue.
    fn decided(&self, tenant: &Tenant) -> Option<PartitionShare> {
        let share = if self.plans.decide(&tenant.plan, &tenant.limits) {
            self.plans.share(&tenant.plan, &tenant.limits, tenant.status)
        } else if tenant.status == TenantStatus::Suspended {
            PartitionShare { suspended: Some(true), ..PartitionShare::default() }
        } else {
            PartitionShare::default()
        };
        let share = with_flows(share, tenant);
        (share != PartitionShare::default()).then_some(share)
    }
}

/// A tenant that is being deleted flows always: a paused queue must not hold back its deletion.
fn with_flows(share: PartitionShare, tenant: &Tenant) -> PartitionShare {
    if tenant.status == TenantStatus::Deprovisioning { share } else { share.with_flows(&tenant.flows) }
}
