//! What operators change.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Flow, Id, Model, Place};
use crate::model::commands::Change;
use crate::model::world::{QUEUES, SKILLS, TYPES};

/// What the queue supposes that an open job has that it did not weigh.
const GUESSED_BYTES: u64 = 700;

impl Model {
    pub(crate) fn set(&mut self, number: usize, change: Change) {
        self.tenants[number].hold = 0;
        let some = |value: u64| (value > 0).then_some(value);
        match change {
            Change::TypeCap(kind, cap) => return self.cap_type(number, kind, cap),
            Change::BacklogBytes(bytes) => return self.limit_bytes(number, some(bytes)),
            Change::Usual => self.limit_bytes(number, None),
            _ => {}
        }
        let tenant = &mut self.tenants[number];
        match change {
            Change::Weight(weight) => tenant.weight = weight,
            Change::Cap(cap) => tenant.cap = cap,
            Change::Rate(emit, burst) => (tenant.emit, tenant.burst) = (emit, burst),
            Change::BacklogJobs(jobs) => tenant.backlog_jobs = some(jobs),
            Change::ScheduledJobs(jobs) => tenant.scheduled_jobs = some(jobs),
            Change::Paused(on) => tenant.paused = on,
            Change::Suspended(on) => tenant.suspended = on,
            Change::Draining(on) => tenant.draining = on,
            Change::Usual => {
                (tenant.weight, tenant.cap, tenant.emit, tenant.burst) = (1, None, 0, 1);
                (tenant.backlog_jobs, tenant.scheduled_jobs) = (None, None);
            }
            Change::TypeCap(..) | Change::BacklogBytes(_) => {}
        }
    }

    /// Jobs that run already count.
    fn cap_type(&mut self, number: usize, kind: usize, cap: Option<u32>) {
        let running = |id: &Id| {
            let job = self.job(*id);
            let is_of = job.spec.tenant == number && SKILLS[job.spec.skill].kind == kind;
            is_of && matches!(job.place, Place::Active(_)) && !job.damaged
        };
        let slots: BTreeSet<Id> = self.jobs.keys().copied().filter(running).collect();
        let tenant = &mut self.tenants[number];
        tenant.type_caps.remove(&kind);
        tenant.slots.remove(&kind);
        if let Some(cap) = cap {
            tenant.type_caps.insert(kind, cap);
            tenant.slots.insert(kind, slots);
        }
    }

    fn limit_bytes(&mut self, number: usize, maximum: Option<u64>) {
        let counted = self.tenants[number].backlog_bytes.is_some();
        if !counted && maximum.is_some() {
            let lists = self.lists.iter().filter(|((of, ..), _)| *of == number);
            let listed: u64 = lists.map(|(_, line)| line.len() as u64).sum();
            let guess = GUESSED_BYTES * (listed + self.active(number));
            self.tenants[number].bytes = i64::try_from(guess).unwrap_or(0);
        }
        self.tenants[number].backlog_bytes = maximum;
    }

    pub(crate) fn set_queue(&mut self, tenant: Option<usize>, queue: usize, flow: Option<Flow>) {
        let queues = match tenant {
            Some(number) => {
                self.tenants[number].hold = 0;
                &mut self.tenants[number].queues
            }
            None => &mut self.queues,
        };
        match flow {
            Some(flow) => queues.insert(queue, flow),
            None => queues.remove(&queue),
        };
    }

    /// The tenant's settings as the queue keeps them.
    pub(crate) fn settings(&self, number: usize) -> BTreeMap<String, String> {
        let tenant = &self.tenants[number];
        let number = |name: &str, value: Option<u64>| value.map(|value| (name.to_owned(), value.to_string()));
        let unless = |value: u32, usual: u32| (value != usual).then(|| u64::from(value));
        let on = |name: &str, on: bool| on.then(|| (name.to_owned(), "1".to_owned()));
        let plain = [
            number("w", unless(tenant.weight, 1)),
            number("cap", tenant.cap.map(u64::from)),
            number("emit", unless(tenant.emit, 0)),
            number("burst", unless(tenant.burst, 1)),
            number("qj", tenant.backlog_jobs),
            number("qb", tenant.backlog_bytes),
            number("qs", tenant.scheduled_jobs),
            number("ep", unless(tenant.epoch, 0)),
            on("paused", tenant.paused),
            on("suspended", tenant.suspended),
            on("draining", tenant.draining),
        ];
        let caps =
            tenant.type_caps.iter().map(|(kind, cap)| (format!("k:{}", TYPES[*kind]), cap.to_string()));
        let queues = tenant.queues.iter().map(|(queue, flow)| {
            let flow = if *flow == Flow::Paused { "paused" } else { "draining" };
            (format!("p:{}", QUEUES[*queue]), flow.to_owned())
        });
        plain.into_iter().flatten().chain(caps).chain(queues).collect()
    }
}
