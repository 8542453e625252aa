use std::collections::{BTreeMap, HashMap};

use super::claiming::Claim;
use super::job::{Job, Place};
use super::tenant::Tenant;
use crate::id::JobId;
use crate::queue::limits::Flow;
use crate::queue::status::{JobState, Kept};
use crate::tenant::TenantId;

/// Dead letters and quarantined jobs kept, per tenant and kind.
const KEEP: usize = 10_000;

/// Everything in the queue.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The virtual time of the tenant that was served last.
    pub(super) virtual_clock: u64,
    pub(super) last_fence: u64,
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) jobs: HashMap<JobId, Job>,
    pub(super) claims: BTreeMap<u64, Claim>,
    /// When a worker last said that it serves a lane.
    pub(super) declared_ms: HashMap<String, i64>,
    /// The queue that a lane belongs to.
    pub(super) queue_of: HashMap<String, String>,
    /// Queues that are paused or drain, for all tenants.
    pub(super) flows: HashMap<String, Flow>,
}

/// The letter of a timer in the queue on Redis, which is part of the order in which timers go off.
const fn timer(state: JobState) -> &'static str {
    match state {
        JobState::Parked => "k",
        JobState::Scheduled => "s",
        _ => "y",
    }
}

impl State {
    pub(super) fn tenant(&mut self, name: &TenantId) -> &mut Tenant {
        self.tenants.entry(name.clone()).or_default()
    }

    /// Lets a job wait until `due_ms`, or at the end of its list when that has come.
    pub(super) fn put(&mut self, id: JobId, state: JobState, due_ms: i64, now_ms: i64) {
        if due_ms <= now_ms {
            self.put_in_line(id, false);
        } else if let Some(job) = self.jobs.get_mut(&id) {
            job.place = Place::Timer(state, due_ms);
        }
    }

    pub(super) fn put_in_line(&mut self, id: JobId, first: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.place = Place::Waiting;
        let key = (job.lane.clone(), job.priority.level());
        let tenant = self.tenants.entry(job.tenant.clone()).or_default();
        let list = tenant.lists.entry(key).or_default();
        if first { list.push_front(id) } else { list.push_back(id) }
    }

    /// Whoever may run again, or for the first time, begins at the present: no credit for idle time.
    pub(super) fn settle(&mut self, now_ms: i64) {
        for tenant in self.tenants.values_mut() {
            let waits = tenant.lists.values().any(|list| !list.is_empty());
            if waits && tenant.may_run(now_ms) {
                tenant.virtual_time = tenant.virtual_time.max(self.virtual_clock);
            }
        }
    }

    /// Moves what is due into its list.
    pub(super) fn promote(&mut self, now_ms: i64) {
        let mut due: BTreeMap<(&str, &TenantId), Vec<(i64, JobId)>> = BTreeMap::new();
        for (id, job) in &self.jobs {
            if let Place::Timer(state, due_ms) = job.place
                && due_ms <= now_ms
            {
                due.entry((timer(state), &job.tenant)).or_default().push((due_ms, *id));
            }
        }
        let mut timers: Vec<_> = due.into_values().collect();
        for timer in &mut timers {
            timer.sort_unstable();
        }
        // The one that went off first; those of one moment by kind and tenant.
        timers.sort_by_key(|timer| timer.first().map(|(due_ms, _)| *due_ms));
        for (_, id) in timers.concat() {
            self.put_in_line(id, false);
        }
    }

    /// Keeps a job that will not run by itself. The oldest makes room.
    pub(super) fn keep(&mut self, id: JobId, kept: Kept, why: String, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.place = Place::Kept { kept, since_ms: now_ms, why };
        let name = job.tenant.clone();
        let totals = &mut self.tenant(&name).totals;
        match kept {
            Kept::Discarded => totals.discarded += 1,
            Kept::Quarantined => totals.quarantined += 1,
        }
        self.free_key(id);
        for (_, old) in self.kept_of(&name, kept).iter().skip(KEEP) {
            self.jobs.remove(old);
        }
    }

    /// Since when which jobs of a tenant are kept, newest first.
    pub(super) fn kept_of(&self, tenant: &TenantId, which: Kept) -> Vec<(i64, JobId)> {
        let kept = |(id, job): (&JobId, &Job)| match &job.place {
            Place::Kept { kept, since_ms, .. } if *kept == which && job.tenant == *tenant => {
                Some((*since_ms, *id))
            }
            _ => None,
        };
        let mut all: Vec<_> = self.jobs.iter().filter_map(kept).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all
    }
}
