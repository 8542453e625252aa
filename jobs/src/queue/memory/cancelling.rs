//! Calling work off.

use super::job::Place;
use super::state::State;
use crate::id::JobId;
use crate::queue::cancel::{CancelReport, Cancelled};
use crate::tenant::TenantId;

impl State {
    /// What waits leaves at once; what runs is told to stop.
    pub(super) fn cancel_one(&mut self, tenant: &TenantId, id: JobId, now_ms: i64) -> Cancelled {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.tenant == *tenant) else {
            return Cancelled::NotFound;
        };
        match job.place {
            Place::Kept { .. } => Cancelled::Kept,
            Place::Active(_) if job.stop.with_tenant => Cancelled::NotFound,
            Place::Active(_) => {
                job.stop.cancelled = true;
                job.tell_to_stop();
                Cancelled::Stopping
            }
            Place::Waiting | Place::Timer(..) => {
                self.called_off(tenant, id, now_ms);
                Cancelled::Now
            }
        }
    }

    /// A job leaves the queue as cancelled.
    pub(super) fn called_off(&mut self, name: &TenantId, id: JobId, now_ms: i64) {
        self.tenant(name).remember(id, false, now_ms);
        self.remove(name, id);
        self.leave(name, id, true, now_ms);
    }

    fn remove(&mut self, name: &TenantId, id: JobId) {
        self.take_out_of_line(id);
        self.free_key(id);
        self.jobs.remove(&id);
        self.tenant(name).totals.cancelled += 1;
    }

    /// Everything of a tenant that has not ended.
    pub(super) fn cancel_tenant(&mut self, name: &TenantId, now_ms: i64) -> CancelReport {
        for group in self.tenant(name).groups.values_mut() {
            group.called_off = true;
        }
        let mut report = CancelReport::default();
        let mut waiting = Vec::new();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.tenant == *name) {
            match job.place {
                Place::Kept { .. } => {}
                Place::Active(_) => {
                    job.stop.with_tenant = true;
                    job.tell_to_stop();
                    report.stopping += 1;
                }
                Place::Waiting | Place::Timer(..) => waiting.push(*id),
            }
        }
        report.cancelled = waiting.len() as u64;
        // All of them are gone before any of their groups hears of it. Nobody remembers them: there may be many.
        for id in &waiting {
            self.remove(name, *id);
        }
        for id in waiting {
            self.leave(name, id, true, now_ms);
        }
        report
    }
}
