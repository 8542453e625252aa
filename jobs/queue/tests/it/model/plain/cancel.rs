//! Cancelling jobs.

use std::collections::BTreeSet;

use super::state::{Id, Litter, Model, Place, Timer};
use super::unique::When;
use crate::model::world::TENANTS;

impl Model {
    /// A letter for each job: c = cancelled, r = stop signal sent, k = kept, n = not there.
    pub(crate) fn cancel(&mut self, tenant: usize, ids: &[Id]) -> String {
        let (mut letters, mut gone) = (String::new(), Vec::new());
        for &id in ids {
            let letter = self.cancel_one(tenant, id);
            if letter == 'c' {
                gone.push(id);
            }
            letters.push(letter);
        }
        for &id in &gone {
            self.unlock(id, When::Ended);
            self.tenants_outcome(id, 1);
        }
        for id in gone {
            self.group_leave(id, true);
        }
        letters
    }

    fn cancel_one(&mut self, tenant: usize, id: Id) -> char {
        let Some(job) = self.jobs.get(&id).filter(|job| job.spec.tenant == tenant) else { return 'n' };
        let epoch = self.tenants[tenant].epoch;
        match job.place {
            Place::Kept(..) => 'k',
            Place::Nowhere | Place::Gone | Place::Garbage => 'n',
            _ if job.epoch != epoch && !job.damaged => 'n',
            // Its list cannot be read from the record, and lists are not searched.
            Place::Waiting if job.damaged => 'n',
            Place::Active(claim) => {
                let fence = self.claims[claim].fence;
                self.job_mut(id).wanted = Some(fence);
                self.signals.insert(format!("{fence} {id}"), self.now);
                'r'
            }
            Place::Waiting | Place::Timer(..) => {
                if job.place == Place::Waiting {
                    self.ghosts.insert(id, tenant);
                }
                self.weigh_out(id);
                self.forget(id, false);
                'c'
            }
        }
    }

    /// Cancels all work of a tenant. Returns how many jobs waited, and how many received a stop signal.
    pub(crate) fn cancel_tenant(&mut self, tenant: usize) -> (u64, u64) {
        let waiting = |job: &super::state::Job| matches!(job.place, Place::Waiting | Place::Timer(..));
        let all = self.jobs.iter().filter(|(_, job)| job.spec.tenant == tenant && waiting(job));
        let ids: BTreeSet<Id> = all.map(|(id, _)| *id).collect();
        for &id in &ids {
            self.job_mut(id).place = Place::Garbage;
        }
        let mut heap = ids.clone();
        heap.extend(self.ghosts.iter().filter(|&(_, &of)| of == tenant).map(|(id, _)| *id));
        self.ghosts.retain(|_, of| *of != tenant);
        self.lists.retain(|(of, ..), _| *of != tenant);
        for timer in Timer::ALL {
            self.timers.remove(&(timer.letter().to_owned(), tenant));
        }
        let running = self.active(tenant);
        if running > 0 {
            let fence = self.claims.iter().map(|claim| claim.fence).max().unwrap_or(0);
            self.signals.insert(format!("* {} {fence}", TENANTS[tenant]), self.now);
        }
        let changed = &mut self.tenants[tenant];
        changed.epoch = (changed.epoch + 1) % 10_000;
        changed.bytes = 0;
        changed.outcomes[1] += ids.len() as u64;
        self.called_off = Some((tenant, heap));
        (ids.len() as u64, running)
    }

    /// Removes some cancelled jobs. Returns the number of remaining batches.
    pub(crate) fn sweep(&mut self, limit: usize) -> usize {
        let now = self.now;
        self.signals.retain(|_, since| *since + 600_000 > now);
        let Some(Litter { tenant, ids }) = self.litter.front_mut() else { return 0 };
        let tenant = *tenant;
        let taken: Vec<Id> = ids.drain(..limit.min(ids.len())).collect();
        let swept: Vec<Id> = taken
            .into_iter()
            .filter(|&id| self.job(id).place == Place::Garbage && self.tenant_of(id) == tenant)
            .collect();
        for &id in &swept {
            let job = self.job_mut(id);
            (job.place, job.damaged) = (Place::Gone, false);
            self.unlock(id, When::Ended);
        }
        for id in swept {
            self.group_leave(id, true);
        }
        if self.litter.front().is_some_and(|heap| heap.ids.is_empty()) {
            self.litter.pop_front();
        }
        self.litter.len()
    }

    /// A job that was running is cancelled now.
    pub(super) fn called_off(&mut self, id: Id) {
        self.weigh_out(id);
        self.forget(id, false);
        self.unlock(id, When::Ended);
        self.tenants_outcome(id, 1);
        self.group_leave(id, true);
    }
}
