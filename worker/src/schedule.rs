//! Fires due schedules: each time once, with any number of workers.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::clock::SharedClock;
use jobs::cron::next_fire;
use jobs::envelope::{Refusal, StampedJob, Stamper, Verifier};
use jobs::plan::{Limits, Plans};
use jobs::tenant::DirectoryError;
use stores::model::{DueSchedule, Firing, OverQuota};
use stores::{DueSchedules, StoreError, Stores};
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::periodic::Pace;
use crate::registry::Registry;

/// Due schedules read in one round.
const BATCH: u32 = 100;

/// Looks for due schedules and turns each into a job in its tenant's outbox.
///
/// The schedule's template is a stamped envelope. It is verified like any other, so a schedule of a suspended
/// tenant or of a removed member does not fire, and the job keeps the tenant, actor and role of the template.
pub struct Scheduler {
    /// Where due schedules are read and moved on.
    pub schedules: Arc<DueSchedules>,
    /// Verifies templates.
    pub verifier: Verifier,
    /// Signs the jobs made from templates.
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

impl Scheduler {
    /// Fires schedules until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut pace = Pace::every(Duration::from_secs(1));
        while pace.next(&stop).await {
            if let Err(error) = self.fire_due().await {
                tracing::warn!("schedules were not looked at: {}", jobs::error::report(&error));
            }
        }
    }

    /// Fires what is due. Returns how many schedules this worker fired; those that another worker took first are
    /// not counted. Times missed while no worker ran are made up for by one job.
    ///
    /// # Errors
    /// When the catalog is not available.
    pub async fn fire_due(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut fired = 0;
        for due in self.schedules.schedules_due(now, BATCH).await? {
            // The cron expression cannot fire again. Look once a day, in case an operator repaired it.
            let next = next_fire(&due.cron, &due.time_zone, now).unwrap_or(now + chrono::Days::new(1));
            match self.copy(&due).await {
                Ok((job, limits)) => {
                    match self.schedules.schedule_fire(&due, (&job, &limits), next, now).await? {
                        Firing::Fired => {
                            metrics::fired();
                            fired += 1;
                        }
                        Firing::NotDue => {}
                        Firing::OverQuota(OverQuota { quota, current, maximum }) => {
                            tracing::warn!(tenant.id = %due.tenant_id, schedule = due.name,
                                "schedule skipped: {quota} is {current} of {maximum}");
                        }
                    }
                }
                Err(refusal) => self.skip(&due, &refusal, next).await?,
            }
        }
        Ok(fired)
    }

    /// The job of this firing. Its id is derived from schedule and due time, so two workers that fire the same
    /// schedule make the same job.
    async fn copy(&self, due: &DueSchedule) -> Result<(StampedJob, Limits), Refusal> {
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let verified = self.verifier.verify_template(&due.template, &due.tenant_id, policy).await?;
        let seed = format!("{}/{}/{}", due.tenant_id, due.kb_id, due.name);
        let id = JobId::derived(due.fire_at, &seed);
        let job = self.stamper.restamp(&verified.tenant, &verified.envelope, id);
        let tenant = self.stores.scoped(&verified.tenant).catalog().tenant().await;
        let tenant = tenant.map_err(|error| Refusal::Directory(DirectoryError(error.into())))?;
        let limits = tenant.map(|tenant| self.plans.limits(&tenant.plan, &tenant.limits)).unwrap_or_default();
        Ok((job.map_err(|_| Refusal::Malformed)?, limits))
    }

    async fn skip(
        &self,
        due: &DueSchedule,
        refusal: &Refusal,
        next: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // The directory did not answer, so nothing is known about the schedule: it stays due for the next round.
        if matches!(refusal, Refusal::Directory(_)) {
            return Ok(());
        }
        let (code, why) = (refusal.code(), jobs::error::report(refusal));
        tracing::warn!(tenant.id = %due.tenant_id, schedule = due.name, code, "schedule skipped: {why}");
        self.schedules.schedule_skip(due, next, (code, &why)).await.map(drop)
    }
}
