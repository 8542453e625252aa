//! What tenants may use.

use super::enqueue::{Block, Refused};
use super::state::{Flow, Id, Model, Place, Timer};
use crate::model::world::SKILLS;

impl Model {
    /// Until when the tenant's rate, or a job that was parked, holds it back.
    pub(crate) fn blocked_until(&self, tenant: usize) -> u64 {
        let tenant = &self.tenants[tenant];
        if tenant.emit == 0 {
            return tenant.hold;
        }
        let rate = (tenant.tat - f64::from(tenant.burst - 1) * f64::from(tenant.emit)).ceil();
        tenant.hold.max(whole(rate.max(0.0)))
    }

    pub(crate) fn may_start(&self, number: usize) -> bool {
        let tenant = &self.tenants[number];
        let held = tenant.paused || tenant.suspended;
        let capped = tenant.cap.is_some_and(|cap| self.active(number) >= u64::from(cap));
        !held && !capped && self.blocked_until(number) <= self.now
    }

    pub(crate) fn type_has_room(&self, tenant: usize, kind: usize) -> bool {
        let cap = self.tenants[tenant].type_caps.get(&kind);
        cap.is_none_or(|&cap| self.slots_of(tenant, kind) < cap as usize)
    }

    pub(crate) fn slots_of(&self, tenant: usize, kind: usize) -> usize {
        self.tenants[tenant].slots.get(&kind).map_or(0, std::collections::BTreeSet::len)
    }

    /// Whether a worker with these skills could start the job now.
    pub(crate) fn may_start_job(&self, id: Id, skills: u8) -> bool {
        let job = self.job(id);
        let (tenant, skill) = (job.spec.tenant, job.spec.skill);
        let queue = SKILLS[skill].queue;
        job.place == Place::Waiting
            && skills & (1 << skill) != 0
            && self.queues.get(&queue) != Some(&Flow::Paused)
            && self.tenants[tenant].queues.get(&queue) != Some(&Flow::Paused)
            && self.type_has_room(tenant, SKILLS[skill].kind)
            && self.may_start(tenant)
    }

    /// What a worker with these skills could start now.
    pub(crate) fn startable(&self, skills: u8) -> Vec<Id> {
        self.jobs.keys().copied().filter(|&id| self.may_start_job(id, skills)).collect()
    }

    /// Bits of the levels with jobs whose queue the tenant has not paused.
    pub(crate) fn open_levels(&self, tenant: usize) -> u16 {
        let owner = &self.tenants[tenant];
        let waits = |job: &&super::state::Job| job.spec.tenant == tenant && job.place == Place::Waiting;
        let open =
            |job: &&super::state::Job| owner.queues.get(&SKILLS[job.spec.skill].queue) != Some(&Flow::Paused);
        self.jobs.values().filter(waits).filter(open).fold(0, |bits, job| bits | 1 << job.spec.level)
    }

    /// Jobs that wait for a worker or for their time.
    pub(crate) fn waiting(&self, tenant: usize) -> u64 {
        self.count(tenant, |place| matches!(place, Place::Waiting | Place::Timer(..)))
    }

    /// The limit that keeps the tenant from adding the jobs in these blocks.
    pub(super) fn refusal(&self, tenant: usize, blocks: &[Block]) -> Option<Refused> {
        self.drains(tenant, blocks).or_else(|| self.over_quota(tenant, blocks))
    }

    fn drains(&self, number: usize, blocks: &[Block]) -> Option<Refused> {
        let refused =
            |limit: &str| Some(Refused { tenant: number, limit: limit.into(), current: 0, maximum: 0 });
        let tenant = &self.tenants[number];
        if tenant.draining {
            return refused("tenant_draining");
        }
        for skill in blocks.iter().filter_map(|block| self.skill_of(number, block)) {
            let queue = SKILLS[skill].queue;
            if self.queues.get(&queue) == Some(&Flow::Draining) {
                return refused("queue_draining");
            }
            if tenant.queues.get(&queue) == Some(&Flow::Draining) {
                return refused("tenant_queue_draining");
            }
        }
        None
    }

    fn skill_of(&self, tenant: usize, block: &Block) -> Option<usize> {
        let first = match block {
            Block::Group { .. } => return None,
            Block::Jobs(ids) => ids[0],
            Block::Unique(id) => *id,
        };
        let spec = &self.job(first).spec;
        (spec.tenant == tenant).then_some(spec.skill)
    }

    fn over_quota(&self, number: usize, blocks: &[Block]) -> Option<Refused> {
        let tenant = &self.tenants[number];
        let wanted: Vec<Id> = blocks
            .iter()
            .flat_map(Block::jobs)
            .filter(|&id| self.tenant_of(id) == number && !self.job(id).place.is_known())
            .collect();
        let refused = |limit: &str, current, maximum| {
            Some(Refused { tenant: number, limit: limit.into(), current, maximum })
        };
        let (jobs, have) = (wanted.len() as u64, self.waiting(number));
        if jobs == 0 {
            return None;
        }
        if let Some(maximum) = tenant.backlog_jobs.filter(|&maximum| have + jobs > maximum) {
            return refused("backlog_jobs", have, maximum);
        }
        let bytes: u64 = wanted.iter().map(|&id| self.fresh_bytes(id)).sum();
        let has = tenant.bytes.unsigned_abs();
        if let Some(maximum) = tenant.backlog_bytes.filter(|&maximum| has + bytes > maximum) {
            return refused("backlog_bytes", has, maximum);
        }
        let later = wanted.iter().filter(|&&id| self.job(id).spec.due > self.now).count() as u64;
        let scheduled = self.in_timer(number, Timer::Scheduled).len() as u64;
        let over = |maximum: &u64| later > 0 && scheduled + later > *maximum;
        refused("scheduled_jobs", scheduled, tenant.scheduled_jobs.filter(over)?)
    }

    /// Size of the record that the job would have if it were pushed.
    fn fresh_bytes(&self, id: Id) -> u64 {
        super::state::Job::new(self.job(id).spec.clone()).bytes()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}
