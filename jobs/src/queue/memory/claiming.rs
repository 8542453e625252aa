//! Claims, their leases, and workers that vanish.

use std::time::Duration;

use super::fair::Serving;
use super::job::Place;
use super::state::State;
use crate::id::JobId;
use crate::queue::lane::Lane;
use crate::queue::record;
use crate::queue::status::{JobState, Kept};
use crate::queue::worker::FetchedJob;
use crate::tenant::TenantId;

/// What one fetch took.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) lease_end_ms: i64,
    /// By visit: whose, and which.
    jobs: Vec<(TenantId, Vec<JobId>)>,
}

impl State {
    pub(super) fn claim(
        &mut self,
        lanes: &[Lane],
        limit: usize,
        quantum: usize,
        lease_ms: i64,
        now_ms: i64,
    ) -> Vec<FetchedJob> {
        self.promote(now_ms);
        self.settle(now_ms);
        for lane in lanes {
            self.queue_of.entry(lane.to_string()).or_insert_with(|| lane.queue().to_owned());
        }
        let lanes = self.flowing(lanes.iter().map(ToString::to_string).collect());
        let jobs = self.serve(Serving { lanes: &lanes, quantum: quantum.max(1), left: limit, now_ms });
        if jobs.is_empty() {
            return Vec::new();
        }
        let fence = (self.last_fence + 1).max(u64::try_from(now_ms).unwrap_or(0) * 1_000);
        self.last_fence = fence;
        let ids = jobs.iter().flat_map(|(_, ids)| ids).copied();
        let fetched = ids.filter_map(|id| Some(self.jobs.get_mut(&id)?.start(id, fence))).collect();
        self.claims.insert(fence, Claim { lease_end_ms: now_ms + lease_ms, jobs });
        fetched
    }

    /// How long until time alone makes a job available.
    pub(super) fn next_in(&self, now_ms: i64) -> Option<Duration> {
        let timers = self.jobs.values().filter_map(|job| match job.place {
            Place::Timer(_, due_ms) => Some(due_ms),
            _ => None,
        });
        let limited = self.tenants.values().filter_map(|tenant| {
            let waits = tenant.lists.values().any(|list| !list.is_empty());
            let until = tenant.blocked_until();
            let held = tenant.paused || tenant.suspended;
            (waits && !held && tenant.active.len() < tenant.cap && until > now_ms).then_some(until)
        });
        let next = timers.chain(limited).min()?;
        Some(Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0)))
    }

    pub(super) fn renew(&mut self, fence: u64, lease_ms: i64, now_ms: i64) -> bool {
        let held = self.claims.get_mut(&fence);
        held.map(|claim| claim.lease_end_ms = now_ms + lease_ms).is_some()
    }

    /// A claim whose jobs have all ended has no lease.
    pub(super) fn forget_if_done(&mut self, fence: u64) {
        let held = |id: &JobId| self.jobs.get(id).is_some_and(|job| job.place == Place::Active(fence));
        let done = |claim: &Claim| !claim.jobs.iter().flat_map(|(_, ids)| ids).any(held);
        if self.claims.get(&fence).is_some_and(done) {
            self.claims.remove(&fence);
        }
    }

    /// Takes the jobs of workers that vanished away from them. Says which were quarantined.
    pub(super) fn reap(&mut self, max_deaths: u32, now_ms: i64) -> Vec<(TenantId, JobId)> {
        let lapsed = self.claims.iter().filter(|(_, claim)| claim.lease_end_ms <= now_ms);
        let mut lapsed: Vec<(i64, u64)> = lapsed.map(|(fence, claim)| (claim.lease_end_ms, *fence)).collect();
        lapsed.sort_unstable();
        let (mut apart, mut quarantined) = (0, Vec::new());
        for (_, fence) in lapsed {
            let Some(claim) = self.claims.remove(&fence) else { continue };
            for (tenant, ids) in claim.jobs {
                let held =
                    |id: &JobId| self.jobs.get(id).is_some_and(|job| job.place == Place::Active(fence));
                let held: Vec<JobId> = ids.into_iter().rev().filter(held).collect();
                for id in held {
                    if self.dies(&tenant, id, max_deaths, &mut apart, now_ms) {
                        quarantined.push((tenant.clone(), id));
                    }
                }
            }
        }
        self.settle(now_ms);
        quarantined
    }

    /// The job's worker vanished. The first time it goes back at once; later ones come back apart from each
    /// other, so that the one that kills workers does not take its neighbours along. `true` when it was once
    /// too often.
    fn dies(&mut self, tenant: &TenantId, id: JobId, max_deaths: u32, apart: &mut i64, now_ms: i64) -> bool {
        self.tenant(tenant).active.remove(&id);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.stop.is_wanted() {
            self.called_off(tenant, id, now_ms);
            return false;
        }
        job.deaths += 1;
        let deaths = job.deaths;
        if deaths >= max_deaths {
            let text = format!("{deaths} workers vanished while they ran this job");
            self.keep(id, Kept::Quarantined, record::reason("worker_died", '\n', &text), now_ms);
            self.leave(tenant, id, true, now_ms);
            return true;
        }
        job.note = "worker_died the worker that ran this job vanished".into();
        if deaths > 1 {
            *apart += 1;
            self.put(id, JobState::Retryable, now_ms + 1_000 * *apart, now_ms);
        } else {
            self.put_in_line(id, true);
        }
        false
    }
}
