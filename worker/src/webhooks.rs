//! Hands pending deliveries of webhooks to the queue.
//!
//! Events are written down where they happen, by code that signs nothing. Here they become jobs: of the endpoint, with
//! the authority of the template that an administrator stamped when they made it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jobs::clock::SharedClock;
use jobs::envelope::{EnqueueOptions, Refusal, StampedJob, Stamper, Verified, Verifier};
use jobs::error::report;
use jobs::plan::{Limits, Plans};
use jobs::queue::{PartitionShare, Queue, QueueError};
use jobs::tenant::TenantContext;
use jobs::types::DeliverWebhook;
use jobs::{Job as _, JobId};
use stores::model::{DisabledReason, DueWebhook, PendingDelivery};
use stores::{StoreError, Stores, WebhookRelay};
use tokio_util::sync::CancellationToken;

use crate::periodic::Pace;
use crate::registry::Registry;

/// Endpoints read at a time.
const BATCH: u32 = 200;

/// Moves pending deliveries of every tenant's endpoints to the queue. Any number may run, because a delivery's job has
/// the same id for all of them.
pub struct WebhookDispatcher {
    /// Where pending deliveries are read.
    pub relay: Arc<WebhookRelay>,
    /// Where their jobs are pushed.
    pub queue: Queue,
    /// Verifies templates.
    pub verifier: Verifier,
    /// Signs the jobs.
    pub stamper: Stamper,
    /// Policies of the job types.
    pub registry: Arc<Registry>,
    /// Reads the tenants' plans.
    pub stores: Stores,
    /// What the plans allow.
    pub plans: Arc<Plans>,
    /// Decides what is due.
    pub clock: SharedClock,
}

/// Why the deliveries of one endpoint were not handed on.
#[derive(Debug, thiserror::Error)]
enum NotDispatched {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("its job cannot be stamped")]
    Stamp(#[from] jobs::envelope::StampError),
}

impl WebhookDispatcher {
    /// Dispatches until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(1));
        while pace.next(&stop).await {
            if let Err(error) = self.dispatch().await {
                tracing::warn!("webhooks were not looked at: {}", report(&error));
            }
        }
    }

    /// Hands on what is pending and may go now. Returns how many deliveries the queue got.
    ///
    /// # Errors
    /// When the catalog is not available. What one endpoint's deliveries fail at does not stop those of others.
    pub async fn dispatch(&self) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let seen = after.as_ref().map(|due: &DueWebhook| (&due.tenant_id, &due.id));
            let page = self.relay.webhooks_due(self.clock.now(), seen, BATCH).await?;
            for due in &page {
                count += self.of_endpoint(due).await;
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(count),
            }
        }
    }

    async fn of_endpoint(&self, due: &DueWebhook) -> usize {
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let verified = self.verifier.verify_template(&due.template, &due.tenant_id, policy).await;
        let dispatched = match verified {
            Ok(Verified { tenant, .. }) => self.push(due, &tenant).await,
            Err(refusal) => self.refused(due, &refusal).await.map(|()| 0).map_err(Into::into),
        };
        dispatched.unwrap_or_else(|error| {
            tracing::warn!(tenant.id = %due.tenant_id, webhook.id = %due.id, "webhook not delivered: {}",
                report(&error));
            0
        })
    }

    async fn push(&self, due: &DueWebhook, tenant: &TenantContext) -> Result<usize, NotDispatched> {
        let pending = self.relay.pending(due).await?;
        if pending.is_empty() {
            return Ok(0);
        }
        self.cap(tenant).await?;
        let stamp = |delivery: &PendingDelivery| self.stamp(due, tenant, delivery);
        let jobs: Vec<StampedJob> = pending.iter().map(stamp).collect::<Result<_, _>>()?;
        // Not held to the tenant's backlog: what happened is told, and the catalog holds back what is too much.
        self.queue.push_accepted(&jobs).await?;
        // After a crash in between the same jobs are pushed again, and the queue ignores ids that it has.
        let queued: HashMap<_, _> =
            pending.into_iter().zip(&jobs).map(|(delivery, job)| (delivery.event_id, job.id())).collect();
        self.relay.queued(due, &queued, self.clock.now()).await?;
        Ok(queued.len())
    }

    fn stamp(
        &self,
        due: &DueWebhook,
        tenant: &TenantContext,
        delivery: &PendingDelivery,
    ) -> Result<StampedJob, jobs::envelope::StampError> {
        let PendingDelivery { event_id, at, runs } = delivery;
        let seed = format!("{}/{}/{event_id}/{runs}", due.tenant_id, due.id);
        let options = EnqueueOptions { id: Some(JobId::derived(*at, &seed)), ..EnqueueOptions::default() };
        let job = DeliverWebhook { webhook_id: due.id.clone(), event_id: event_id.clone() };
        self.stamper.stamp(tenant, &job, options)
    }

    /// Tells the queue how many deliveries of the tenant may run at once, if nothing else does: a tenant without limits
    /// has no share there.
    async fn cap(&self, tenant: &TenantContext) -> Result<(), NotDispatched> {
        let found = self.stores.scoped(tenant).catalog().tenant().await?;
        if found.is_some_and(|found| self.plans.decide(&found.plan, &found.limits)) {
            return Ok(());
        }
        let cap = (DeliverWebhook::TYPE.to_owned(), Some(Limits::default().webhooks_at_once()));
        let share = PartitionShare { type_caps: [cap].into(), ..PartitionShare::default() };
        Ok(self.queue.partition_set(tenant.tenant_id(), share).await?)
    }

    /// A tenant that is not active waits. An endpoint whose template can never be verified is disabled, so that its
    /// owner sees why nothing comes.
    async fn refused(&self, due: &DueWebhook, refusal: &Refusal) -> Result<(), StoreError> {
        if matches!(refusal, Refusal::Directory(_) | Refusal::TenantNotReady(_) | Refusal::UnknownTenant) {
            tracing::debug!(tenant.id = %due.tenant_id, webhook.id = %due.id, "webhook waits: {refusal}");
            return Ok(());
        }
        tracing::warn!(tenant.id = %due.tenant_id, webhook.id = %due.id, code = refusal.code(),
            "webhook disabled: {}", report(refusal));
        self.relay.disable(due, DisabledReason::KeyGone, self.clock.now()).await
    }
}
