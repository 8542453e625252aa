//! Whether a tenant may add jobs, and which of its lanes flow.

use std::time::Duration;

use super::job::{Place, kind_of};
use super::state::State;
use crate::envelope::StampedJob;
use crate::queue::limits::{Flow, LimitReached};
use crate::queue::push;
use crate::queue::record;
use crate::queue::status::JobState;
use crate::tenant::TenantId;

impl State {
    /// Why a tenant may not add what it has in `jobs`. What the queue has already is not added.
    pub(super) fn refusal(
        &self,
        tenant: &TenantId,
        jobs: &[StampedJob],
        now_ms: i64,
    ) -> Option<LimitReached> {
        let known = self.tenants.get(tenant);
        let mine = || jobs.iter().filter(|job| job.tenant == *tenant);
        let drains = |flow: Option<&Flow>| flow == Some(&Flow::Draining);
        let drains = if known.is_some_and(|known| known.draining) {
            Some("tenant_draining")
        } else if mine().any(|job| drains(self.flows.get(&job.queue))) {
            Some("queue_draining")
        } else {
            let own = |job: &StampedJob| known.is_some_and(|known| drains(known.flows.get(&job.queue)));
            mine().any(own).then_some("tenant_queue_draining")
        };
        if let Some(limit) = drains {
            return Some(limit_reached(tenant, limit, 0, 0));
        }
        let new: Vec<_> = mine().filter(|job| !self.jobs.contains_key(&job.id)).collect();
        let scheduled = new.iter().filter(|job| push::due_ms(job) > now_ms).count() as u64;
        let bytes: usize = new.iter().map(|job| record::fresh(job).len()).sum();
        self.over_quota(tenant, new.len() as u64, bytes as u64, scheduled)
    }

    fn over_quota(&self, tenant: &TenantId, jobs: u64, bytes: u64, scheduled: u64) -> Option<LimitReached> {
        let quotas = &self.tenants.get(tenant)?.quotas;
        let open = || self.jobs.values().filter(|job| job.tenant == *tenant && !job.is_kept());
        let waiting = open().filter(|job| !matches!(job.place, Place::Active(_))).count() as u64;
        let weight: u64 = open().map(super::job::Job::size_bytes).sum();
        let timed = |place: &Place| matches!(place, Place::Timer(JobState::Scheduled, _));
        let later = open().filter(|job| timed(&job.place)).count() as u64;
        let limits = [
            ("backlog_jobs", quotas.jobs, waiting, jobs),
            ("backlog_bytes", quotas.bytes, weight, bytes),
            ("scheduled_jobs", quotas.scheduled, later, scheduled),
        ];
        let over = |(_, maximum, current, more): &(_, u64, u64, u64)| {
            *maximum > 0 && *more > 0 && current + more > *maximum
        };
        let (limit, maximum, current, _) = limits.into_iter().find(over)?;
        (jobs > 0).then(|| limit_reached(tenant, limit, current, maximum))
    }

    /// The lanes that flow, of those that a worker serves.
    pub(super) fn flowing(&self, lanes: Vec<String>) -> Vec<String> {
        let paused = |lane: &String| {
            self.queue_of.get(lane).is_some_and(|queue| self.flows.get(queue) == Some(&Flow::Paused))
        };
        lanes.into_iter().filter(|lane| !paused(lane)).collect()
    }

    /// How many jobs of a lane the tenant may start now, beside its cap and its rate.
    pub(super) fn room(&self, name: &TenantId, lane: &str) -> usize {
        let Some(tenant) = self.tenants.get(name) else { return 0 };
        let flow = self.queue_of.get(lane).and_then(|queue| tenant.flows.get(queue));
        if flow == Some(&Flow::Paused) {
            return 0;
        }
        let Some(cap) = tenant.type_caps.get(kind_of(lane)) else { return usize::MAX };
        let same = |id| self.jobs.get(id).is_some_and(|job| job.kind() == kind_of(lane));
        cap.saturating_sub(tenant.active.iter().filter(|id| same(*id)).count())
    }
}

/// The queue on Redis guesses when there is room again; here it is always a second.
fn limit_reached(tenant: &TenantId, limit: &str, current: u64, maximum: u64) -> LimitReached {
    let (tenant, limit) = (tenant.clone(), limit.to_owned());
    LimitReached { tenant, limit, current, maximum, retry_after: Duration::from_secs(1) }
}
