//! How jobs end.

use std::collections::BTreeMap;

use super::enqueue::{Block, Enqueued};
use super::state::{Id, Keeping, Model, Place, Timer};
use super::unique::When;
use crate::model::commands::End;

/// One job of a finish.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) claim: usize,
    pub(crate) id: Id,
    pub(crate) end: End,
    /// The jitter that the queue chose for a parked job.
    pub(crate) jitter_ms: u64,
    pub(crate) children: Vec<Block>,
    /// Charged and taken, in microseconds.
    pub(crate) time: Option<(u64, u64)>,
}

impl Ended {
    fn is_plain(&self) -> bool {
        self.end == End::Completed && self.children.is_empty()
    }
}

/// Steps that are done after all jobs of a call.
#[derive(Default)]
struct Later {
    leaving: Vec<(Id, bool)>,
    opened: Vec<(usize, fair_queue::GroupId)>,
    gone: BTreeMap<usize, i64>,
}

impl Model {
    /// One call. Says for each job whether it was applied.
    pub(crate) fn finish(&mut self, ended: &[Ended]) -> Vec<bool> {
        let mut applied = vec![false; ended.len()];
        let mut later = Later::default();
        for (index, job) in ended.iter().enumerate().filter(|(_, job)| !job.is_plain()) {
            applied[index] = self.finish_one(job, &mut later);
        }
        let mut plain: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (index, job) in ended.iter().enumerate().filter(|(_, job)| job.is_plain()) {
            plain.entry((job.claim, self.tenant_of(job.id))).or_default().push(index);
        }
        for ((claim, tenant), indices) in plain {
            let ids: Vec<Id> = indices.iter().map(|&index| ended[index].id).collect();
            let done = self.complete(claim, tenant, &ids, &mut later);
            for (index, done) in indices.into_iter().zip(done) {
                applied[index] = done;
            }
        }
        self.correct_all(ended, &applied);
        for (id, failed) in later.leaving {
            self.group_leave(id, failed);
        }
        self.close_opened(&later.opened);
        for (claim, jobs) in later.gone {
            self.jobs_left(claim, jobs);
        }
        applied
    }

    fn correct_all(&mut self, ended: &[Ended], applied: &[bool]) {
        for tenant in 0..self.tenants.len() {
            let of_tenant = ended.iter().filter(|job| self.tenant_of(job.id) == tenant);
            let times: Vec<_> = of_tenant.filter_map(|job| job.time).collect();
            self.correct(tenant, &times);
            let done = ended.iter().zip(applied).any(|(job, done)| *done && self.tenant_of(job.id) == tenant);
            if done {
                self.not_measured(tenant);
            }
        }
    }

    /// A claim has fewer jobs; without any it has no lease either. A lost count is computed again from the jobs.
    fn jobs_left(&mut self, claim: usize, fewer: i64) {
        let held = self.held(claim);
        let claim = &mut self.claims[claim];
        let mut left = claim.left.unwrap_or(0) - fewer;
        if left < 0 {
            let written = claim.record.iter().flatten().flat_map(|(_, ids)| ids);
            let count = written.filter(|id| held.contains(id)).count();
            left = i64::try_from(count).unwrap_or(i64::MAX);
        }
        claim.left = Some(left);
        if left <= 0 {
            (claim.left, claim.lease, claim.record) = (None, None, None);
        }
    }

    /// The job is not in flight any more. Returns whether its cancellation was requested.
    pub(super) fn free(&mut self, id: Id) -> bool {
        let tenant = self.tenant_of(id);
        for slots in self.tenants[tenant].slots.values_mut() {
            slots.remove(&id);
        }
        let wanted = self.job_mut(id).wanted.take();
        if let Some(fence) = wanted {
            self.signals.remove(&format!("{fence} {id}"));
        }
        wanted.is_some()
    }

    /// Completed, all in one block.
    fn complete(&mut self, claim: usize, tenant: usize, ids: &[Id], later: &mut Later) -> Vec<bool> {
        let mut held = Vec::new();
        let mut done = Vec::new();
        for &id in ids {
            let holds = self.job(id).place == Place::Active(claim) && !done.contains(&id);
            held.push(holds);
            if holds {
                done.push(id);
            }
        }
        if done.is_empty() {
            return held;
        }
        let claimed = &self.claims[claim].bytes;
        let bytes: usize = ids.iter().map(|id| claimed[id]).sum();
        let share = (bytes * done.len()).div_ceil(ids.len());
        self.weigh(tenant, -i64::try_from(share).unwrap_or(0));
        if self.tenants[tenant].hold > self.now {
            self.tenants[tenant].hold = 0;
        }
        *later.gone.entry(claim).or_default() += i64::try_from(done.len()).unwrap_or(0);
        for id in done {
            self.free(id);
            self.forget(id, true);
            self.job_mut(id).completed += 1;
            self.tenants_outcome(id, 0);
            self.unlock(id, When::Ended);
            later.leaving.push((id, false));
        }
        held
    }

    fn finish_one(&mut self, job: &Ended, later: &mut Later) -> bool {
        let Ended { claim, id, .. } = *job;
        if job.end == End::Completed {
            let tenant = self.tenant_of(id);
            let done = self.complete(claim, tenant, &[id], later)[0];
            if done {
                self.leave_children(&job.children, later);
            }
            return done;
        }
        if self.job(id).place != Place::Active(claim) {
            return false;
        }
        let wanted = self.free(id);
        *later.gone.entry(claim).or_default() += 1;
        match job.end {
            End::Discarded | End::Quarantined => {
                let quarantined = job.end == End::Quarantined;
                if !quarantined && (wanted || self.is_called_off(id)) {
                    self.called_off(id);
                    return true;
                }
                let keeping = if quarantined { Keeping::Quarantine } else { Keeping::Dead };
                self.keep(id, keeping, if quarantined { "quarantined" } else { "discarded" });
            }
            End::Dropped => {
                self.weigh_out(id);
                self.forget(id, false);
                self.unlock(id, When::Ended);
                self.tenants_outcome(id, 1);
            }
            _ => {
                self.comes_back(job, wanted);
                return true;
            }
        }
        later.leaving.push((id, true));
        self.leave_children(&job.children, later);
        true
    }

    fn leave_children(&mut self, children: &[Block], later: &mut Later) {
        let opened = self.enqueue_blocks(children, &mut Enqueued::default());
        later.opened.extend(opened);
    }

    /// Whether all of its tenant's work was cancelled while it ran.
    pub(super) fn is_called_off(&self, id: Id) -> bool {
        let job = self.job(id);
        !job.damaged && job.epoch != self.tenants[job.spec.tenant].epoch
    }

    fn comes_back(&mut self, job: &Ended, wanted: bool) {
        let (id, now) = (job.id, self.now);
        if self.job(id).damaged {
            self.put_aside(id);
            return;
        }
        if wanted || self.is_called_off(id) {
            self.called_off(id);
            return;
        }
        let tenant = self.tenant_of(id);
        match job.end {
            End::Retry(after) => {
                self.rewrite(id, |job| {
                    (job.attempts, job.note) = (job.attempts + 1, "retry as the script says");
                });
                if after > 0 {
                    self.wait_until(id, Timer::Retryable, now + after);
                } else {
                    self.line_up(id, false);
                }
            }
            End::Waiting(after) => {
                self.rewrite(id, |job| {
                    (job.parks, job.note) = (job.parks + 1, "waits as the script says");
                });
                if after > 0 {
                    self.wait_until(id, Timer::Retryable, now + after);
                } else {
                    self.line_up(id, false);
                }
            }
            End::Parked => {
                self.rewrite(id, |job| {
                    (job.parks, job.note) = (job.parks + 1, "parked as the script says");
                });
                let due = now + u64::from(self.job(id).parks.min(5)) * 1_000 + job.jitter_ms;
                self.tenants[tenant].hold = self.tenants[tenant].hold.max(due);
                self.wait_until(id, Timer::Parked, due);
            }
            _ => {
                self.rewrite(id, |job| job.interruptions += 1);
                self.line_up(id, true);
            }
        }
    }
}
