//! Claims: starting jobs, and returning them when their worker has vanished.

use super::state::{Claim, Id, Keeping, Model, Place, Timer};
use crate::model::world::{LEASE_MS, MAX_DEATHS, SKILLS};

impl Model {
    /// A worker starts a job. An error if it may not.
    pub(crate) fn start(&mut self, id: Id, skills: u8, claim: usize) -> Result<(), String> {
        if !self.may_start_job(id, skills) {
            return Err(format!("{id} may not start: {:?}", self.jobs.get(&id)));
        }
        let (tenant, kind) = (self.tenant_of(id), SKILLS[self.job(id).spec.skill].kind);
        self.pay(tenant);
        self.job_mut(id).place = Place::Active(claim);
        self.taken.push(id);
        self.unlock(id, super::unique::When::Started);
        let now = self.now;
        let owner = &mut self.tenants[tenant];
        if owner.type_caps.contains_key(&kind) {
            owner.slots.entry(kind).or_default().insert(id);
        }
        if owner.emit > 0 {
            owner.tat = owner.tat.max(float(now)) + f64::from(owner.emit);
        }
        Ok(())
    }

    pub(crate) fn renew(&mut self, claim: usize) -> bool {
        let until = self.now + LEASE_MS;
        let lease = &mut self.claims[claim].lease;
        *lease = lease.map(|_| until);
        lease.is_some()
    }

    /// Expired claims lose their jobs, the longest expired first. Returns how many claims, how many jobs went back,
    /// and which jobs are quarantined.
    pub(crate) fn reap(&mut self, max_claims: usize) -> (usize, usize, Vec<Id>) {
        let now = self.now;
        let lapsed = |claim: &Claim| claim.lease.filter(|&end| end <= now);
        let mut ended: Vec<_> = (0..self.claims.len())
            .filter_map(|number| Some((lapsed(&self.claims[number])?, self.claims[number].fence, number)))
            .collect();
        ended.sort_unstable();
        ended.truncate(max_claims);
        let mut deaths = Deaths::default();
        for &(_, _, claim) in &ended {
            for (_, ids) in self.claims[claim].record.take().unwrap_or_default() {
                let held: Vec<Id> =
                    ids.into_iter().filter(|&id| self.job(id).place == Place::Active(claim)).collect();
                for id in held.into_iter().rev() {
                    self.die(id, &mut deaths);
                }
            }
            (self.claims[claim].lease, self.claims[claim].left) = (None, None);
        }
        (ended.len(), deaths.returned, deaths.quarantined)
    }

    fn die(&mut self, id: Id, deaths: &mut Deaths) {
        let now = self.now;
        let wanted = self.free(id);
        if self.job(id).damaged {
            self.put_aside(id);
            deaths.quarantined.push(id);
            return;
        }
        if wanted || self.is_called_off(id) {
            self.called_off(id);
            return;
        }
        self.job_mut(id).deaths += 1;
        if self.job(id).deaths >= MAX_DEATHS {
            self.keep(id, Keeping::Quarantine, "worker_died");
            self.group_leave(id, true);
            deaths.quarantined.push(id);
            return;
        }
        self.rewrite(id, |job| job.note = "worker_died the worker that ran this job vanished");
        deaths.returned += 1;
        if self.job(id).deaths > 1 {
            deaths.apart += 1;
            self.wait_until(id, Timer::Retryable, now + 1_000 * deaths.apart);
        } else {
            self.line_up(id, true);
        }
    }

    /// Starts dead letters or quarantined jobs again: o = done, u = another has its key, n = it is neither.
    pub(crate) fn redrive(&mut self, ids: &[Id]) -> String {
        ids.iter().map(|&id| self.redrive_one(id)).collect()
    }

    fn redrive_one(&mut self, id: Id) -> char {
        let job = self.job(id);
        if !matches!(job.place, Place::Kept(..)) || job.damaged {
            return 'n';
        }
        if let Some((scope, digest)) = job.key.clone()
            && !matches!(scope, crate::model::commands::Scope::Period(_))
            && self.lock(id, scope, &digest).is_some()
        {
            return 'u';
        }
        let epoch = self.tenants[self.tenant_of(id)].epoch;
        let job = self.job_mut(id);
        (job.attempts, job.deaths, job.parks, job.note, job.epoch) = (0, 0, 0, "", epoch);
        job.redriven = true;
        self.weigh_in(id);
        self.line_up(id, false);
        'o'
    }

    pub(crate) fn purge(&mut self, id: Id) {
        let job = self.job_mut(id);
        (job.place, job.key, job.damaged) = (Place::Gone, None, false);
    }
}

#[derive(Default)]
struct Deaths {
    returned: usize,
    apart: u64,
    quarantined: Vec<Id>,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
pub(super) fn float(ms: u64) -> f64 {
    ms as f64
}
