//! Keeps the queue's copy of what tenants may use as the catalog says.

use std::sync::Arc;
use std::time::Duration;

use jobs::error::report;
use jobs::plan::Plans;
use jobs::queue::{Queue, QueueError, TenantShare};
use jobs::tenant::TenantStatus;
use stores::model::Tenant;
use stores::{SettingsRelay, StoreError};
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;

/// How many tenants are read at a time.
const BATCH: u32 = 200;
/// How often one of the workers goes through all tenants.
const ROUND: Duration = Duration::from_secs(300);
const TURN: &str = "limits";

/// Tells the queue what tenants may use: each change that the API could not pass on, and every few minutes all of
/// it. A Redis that lost its data has lost the turn to do so as well, so that it is told again within seconds.
///
/// A tenant whose plan is not defined and that has no limits of its own is left alone: a program that embeds the
/// worker may set its limits by itself.
pub struct LimitsKeeper {
    /// What the catalog says.
    pub settings: Arc<dyn SettingsRelay>,
    /// Who is told.
    pub queue: Queue,
    /// What plans mean.
    pub plans: Plans,
}

/// The limits could not be kept.
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
    /// Keeps limits until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(2));
        while pace.next(&stop).await {
            if let Err(error) = self.keep().await {
                tracing::warn!("limits of tenants were not passed on: {}", report(&error));
            }
        }
    }

    /// Tells the queue what changed, and everything when it is this process's turn. Returns how many tenants it was
    /// told about.
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
            self.queue.tenant_set(&tenant.id, share).await?;
            // If they have changed again meanwhile, they come again.
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
                    self.queue.tenant_set(&tenant.id, share).await?;
                    told += 1;
                }
            }
            match tenants.last() {
                Some(last) if tenants.len() == BATCH as usize => after = Some(last.id.clone()),
                _ => return Ok(told),
            }
        }
    }

    /// What somebody decided about a tenant.
    fn decided(&self, tenant: &Tenant) -> Option<TenantShare> {
        if self.plans.decide(&tenant.plan, &tenant.limits) {
            return Some(self.plans.share(&tenant.plan, &tenant.limits, tenant.status));
        }
        let suspended = tenant.status == TenantStatus::Suspended;
        suspended.then(|| TenantShare { suspended: Some(true), ..TenantShare::default() })
    }
}
