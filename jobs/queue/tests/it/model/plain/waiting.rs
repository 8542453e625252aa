//! Where jobs wait.

use super::state::{Id, Job, Keeping, Model, Place, Timer};
use crate::model::world::TENANTS;

/// Most jobs of a kind that one fetch promotes, per tenant.
const PROMOTED: usize = 50;

impl Model {
    pub(crate) fn job(&self, id: Id) -> &Job {
        &self.jobs[&id]
    }

    pub(crate) fn job_mut(&mut self, id: Id) -> &mut Job {
        self.jobs.get_mut(&id).expect("commands name only jobs that were made")
    }

    pub(crate) fn tenant_of(&self, id: Id) -> usize {
        self.job(id).spec.tenant
    }

    pub(crate) fn add(&mut self, id: Id, job: Job) {
        if self.jobs.insert(id, job).is_none() {
            self.order.push(id);
        }
    }

    pub(crate) fn count(&self, tenant: usize, is: impl Fn(Place) -> bool) -> u64 {
        self.jobs.values().filter(|job| job.spec.tenant == tenant && is(job.place)).count() as u64
    }

    pub(crate) fn active(&self, tenant: usize) -> u64 {
        self.count(tenant, |place| matches!(place, Place::Active(_)))
    }

    pub(crate) fn in_timer(&self, tenant: usize, timer: Timer) -> Vec<(u64, Id)> {
        let due = |job: &Job| match job.place {
            Place::Timer(is, due) if is == timer && job.spec.tenant == tenant => Some(due),
            _ => None,
        };
        let mut found: Vec<_> = self.jobs.iter().filter_map(|(id, job)| Some((due(job)?, *id))).collect();
        found.sort_unstable();
        found
    }

    pub(super) fn line_up(&mut self, id: Id, first: bool) {
        let job = self.job_mut(id);
        job.place = Place::Waiting;
        self.put_in_line(id, first);
    }

    pub(super) fn wait_until(&mut self, id: Id, timer: Timer, due: u64) {
        let job = self.job_mut(id);
        job.place = Place::Timer(timer, due);
        let key = (timer.letter().to_owned(), job.spec.tenant);
        let at = self.timers.entry(key).or_insert(due);
        *at = due.min(*at);
    }

    /// To a list or to the scheduled ones.
    pub(super) fn put(&mut self, id: Id, due: u64) {
        if due > self.now { self.wait_until(id, Timer::Scheduled, due) } else { self.line_up(id, false) }
    }

    /// Every fetch first lets time do its work.
    pub(crate) fn promote(&mut self) {
        let mut due: Vec<_> = self
            .timers
            .iter()
            .filter(|&(_, &at)| at <= self.now)
            .map(|((kind, tenant), &at)| (at, format!("{kind}{}", TENANTS[*tenant]), kind.clone(), *tenant))
            .collect();
        due.sort();
        for (_, _, kind, tenant) in due {
            let timer = Timer::ALL.into_iter().find(|timer| timer.letter() == kind);
            self.promote_kind(tenant, timer.expect("only these three are noted"));
        }
    }

    fn promote_kind(&mut self, tenant: usize, timer: Timer) {
        let now = self.now;
        let ripe = self.in_timer(tenant, timer).into_iter().take_while(|&(due, _)| due <= now);
        for (_, id) in ripe.take(PROMOTED).collect::<Vec<_>>() {
            if self.job(id).damaged { self.put_aside(id) } else { self.line_up(id, false) }
        }
        let key = (timer.letter().to_owned(), tenant);
        match self.in_timer(tenant, timer).first() {
            None => self.timers.remove(&key),
            Some(&(due, _)) => self.timers.insert(key, due.max(now)),
        };
    }

    /// Bytes of the tenant's open jobs, while there is a quota for them.
    pub(super) fn weigh(&mut self, tenant: usize, bytes: i64) {
        let tenant = &mut self.tenants[tenant];
        if tenant.backlog_bytes.is_some() {
            tenant.bytes = (tenant.bytes + bytes).max(0);
        }
    }

    pub(super) fn weigh_out(&mut self, id: Id) {
        let bytes = i64::try_from(self.job(id).bytes()).unwrap_or(0);
        self.weigh(self.tenant_of(id), -bytes);
    }

    pub(super) fn weigh_in(&mut self, id: Id) {
        let bytes = i64::try_from(self.job(id).bytes()).unwrap_or(0);
        self.weigh(self.tenant_of(id), bytes);
    }

    /// Changes what the record says, and so its size.
    pub(super) fn rewrite(&mut self, id: Id, change: impl FnOnce(&mut Job)) {
        let before = self.job(id).bytes();
        change(self.job_mut(id));
        let delta = i64::try_from(self.job(id).bytes()).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        self.weigh(self.tenant_of(id), delta);
    }

    /// A dead letter, or quarantined.
    pub(super) fn keep(&mut self, id: Id, keeping: Keeping, why: &'static str) {
        let now = self.now;
        self.weigh_out(id);
        let job = self.job_mut(id);
        (job.place, job.why) = (Place::Kept(keeping, now), why);
        self.unlock(id, super::unique::When::Kept);
        self.tenants_outcome(id, if keeping == Keeping::Dead { 2 } else { 3 });
    }

    pub(super) fn tenants_outcome(&mut self, id: Id, outcome: usize) {
        let tenant = self.tenant_of(id);
        self.tenants[tenant].outcomes[outcome] += 1;
    }

    /// The queue forgets the job but for its outcome.
    pub(super) fn forget(&mut self, id: Id, completed: bool) {
        let job = self.job_mut(id);
        job.place = Place::Gone;
        job.damaged = false;
        let tenant = job.spec.tenant;
        self.tenants[tenant].ended.insert(id, completed);
    }

    pub(super) fn put_aside(&mut self, id: Id) {
        self.keep(id, Keeping::Quarantine, "record_damaged");
        self.group_leave(id, true);
    }
}
