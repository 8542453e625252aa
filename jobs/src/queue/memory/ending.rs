//! What becomes of jobs that ran.

use super::job::Place;
use super::state::State;
use crate::id::JobId;
use crate::queue::finish::{Finish, Verdict};
use crate::queue::record;
use crate::queue::status::{JobState, Kept};
use crate::queue::worker::FetchedJob;
use crate::tenant::TenantId;

impl State {
    /// Ends a job. `false` when the claim is not its present one: nothing is done then.
    pub(super) fn finish(&mut self, job: &FetchedJob, finish: &Finish, now_ms: i64) -> bool {
        let (tenant, id) = (&job.tenant, job.id);
        let current = Place::Active(job.fence);
        if self.jobs.get(&id).is_none_or(|known| known.tenant != *tenant || known.place != current) {
            return false;
        }
        self.tenant(tenant).active.remove(&id);
        let stop = self.jobs.get(&id).map(|job| job.stop).unwrap_or_default();
        let verdict = &finish.verdict;
        let discarded = matches!(verdict, Verdict::Discarded { .. });
        if stop.is_wanted() && (discarded || !verdict.is_final()) {
            // What was cancelled meanwhile does not come back, nor is it kept.
            self.called_off(tenant, id, now_ms);
        } else if verdict.is_final() {
            self.ends(tenant, id, verdict, now_ms);
            if let Some(group) = &finish.group {
                self.open_group(group);
            }
            self.add(&finish.children, now_ms);
            let failed = *verdict != Verdict::Completed;
            self.leave(tenant, id, failed, now_ms);
            if let Some(group) = &finish.group {
                self.close_if_empty(tenant, group.id, now_ms);
            }
        } else {
            self.comes_back(tenant, id, verdict, now_ms);
        }
        self.forget_if_done(job.fence);
        self.settle(now_ms);
        true
    }

    fn ends(&mut self, name: &TenantId, id: JobId, verdict: &Verdict, now_ms: i64) {
        match verdict {
            Verdict::Discarded { code, reason } => {
                self.keep(id, Kept::Discarded, record::reason(code, '\n', reason), now_ms);
            }
            Verdict::Quarantined { code, reason } => {
                self.keep(id, Kept::Quarantined, record::reason(code, '\n', reason), now_ms);
            }
            _ => {
                let completed = *verdict == Verdict::Completed;
                self.free_key(id);
                self.jobs.remove(&id);
                let tenant = self.tenant(name);
                tenant.remember(id, completed, now_ms);
                if completed {
                    tenant.totals.completed += 1;
                    // The tenant may run after all.
                    tenant.hold_ms = if tenant.hold_ms > now_ms { 0 } else { tenant.hold_ms };
                } else {
                    tenant.totals.cancelled += 1;
                }
            }
        }
    }

    fn comes_back(&mut self, name: &TenantId, id: JobId, verdict: &Verdict, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match verdict {
            Verdict::Retry { after, error } => {
                job.attempts += 1;
                job.note = record::reason("retry", ' ', error);
                let due_ms = now_ms + i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2);
                self.put(id, JobState::Retryable, due_ms, now_ms);
            }
            Verdict::Parked { reason } => {
                job.parks += 1;
                job.note = record::reason("parked", ' ', reason);
                let due_ms = now_ms + (1_000 * i64::from(job.parks)).min(5_000);
                // The tenant's other jobs need not find out one by one.
                let tenant = self.tenant(name);
                tenant.hold_ms = tenant.hold_ms.max(due_ms);
                self.put(id, JobState::Parked, due_ms, now_ms);
            }
            _ => {
                job.interruptions += 1;
                self.put_in_line(id, true);
            }
        }
    }
}
