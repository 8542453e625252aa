use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::groups::Group;
use super::unique::KeyHolder;
use crate::id::{GroupId, JobId};
use crate::queue::limits::{Flow, TenantShare};

/// Virtual cost of one job at weight 1.
pub(super) const STRIDE: u64 = 10_000;
/// How many finished ids are remembered, and for how long.
const RECENT: usize = 200;
const RECENT_MS: i64 = 3_600_000;

/// What the queue knows of one tenant.
#[derive(Debug)]
pub(super) struct Tenant {
    /// Virtual time: how much it was served, by its weight.
    pub(super) virtual_time: u64,
    /// Visits so far; every eighth begins at a lower priority.
    pub(super) visits: u64,
    pub(super) weight: u64,
    pub(super) cap: usize,
    pub(super) interval_ms: i64,
    pub(super) burst: i64,
    pub(super) paused: bool,
    pub(super) suspended: bool,
    pub(super) draining: bool,
    /// How many jobs of a type may run at once.
    pub(super) type_caps: BTreeMap<String, usize>,
    pub(super) quotas: Quotas,
    /// Queues of this tenant that are paused or drain.
    pub(super) flows: HashMap<String, Flow>,
    /// Theoretical arrival time of the rate limit.
    pub(super) arrival_ms: i64,
    /// Not before this, because one of its jobs was parked.
    pub(super) hold_ms: i64,
    /// Waiting jobs by lane and priority level.
    pub(super) lists: BTreeMap<(String, u8), VecDeque<JobId>>,
    pub(super) active: BTreeSet<JobId>,
    pub(super) groups: HashMap<GroupId, Group>,
    /// The group that waits for a job.
    pub(super) member_of: HashMap<JobId, GroupId>,
    /// Unique keys that are taken.
    pub(super) keys: HashMap<String, KeyHolder>,
    pub(super) totals: Totals,
    recent: VecDeque<(JobId, bool)>,
    recent_until_ms: i64,
}

/// How much may wait; 0 for no limit.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    pub(super) jobs: u64,
    pub(super) bytes: u64,
    pub(super) scheduled: u64,
}

/// How many jobs ended in which way.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) completed: u64,
    pub(super) cancelled: u64,
    pub(super) discarded: u64,
    pub(super) quarantined: u64,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            virtual_time: 0,
            visits: 0,
            weight: 1,
            cap: usize::MAX,
            interval_ms: 0,
            burst: 1,
            paused: false,
            suspended: false,
            draining: false,
            type_caps: BTreeMap::new(),
            quotas: Quotas::default(),
            flows: HashMap::new(),
            arrival_ms: 0,
            hold_ms: 0,
            lists: BTreeMap::new(),
            active: BTreeSet::new(),
            groups: HashMap::new(),
            member_of: HashMap::new(),
            keys: HashMap::new(),
            totals: Totals::default(),
            recent: VecDeque::new(),
            recent_until_ms: 0,
        }
    }
}

impl Tenant {
    pub(super) fn set(&mut self, share: &TenantShare) {
        if let Some(weight) = share.weight {
            self.weight = u64::from(weight.clamp(1, 100));
        }
        if let Some(cap) = share.cap {
            self.cap = if cap == u32::MAX { usize::MAX } else { cap as usize };
        }
        if let Some(interval_ms) = share.interval_ms {
            self.interval_ms = i64::from(interval_ms);
        }
        if let Some(burst) = share.burst {
            self.burst = i64::from(burst.max(1));
        }
        for (kind, cap) in &share.type_caps {
            match cap {
                Some(cap) => drop(self.type_caps.insert(kind.clone(), *cap as usize)),
                None => drop(self.type_caps.remove(kind)),
            }
        }
        self.quotas = Quotas {
            jobs: share.backlog_jobs.unwrap_or(self.quotas.jobs),
            bytes: share.backlog_bytes.unwrap_or(self.quotas.bytes),
            scheduled: share.scheduled_jobs.unwrap_or(self.quotas.scheduled),
        };
        self.paused = share.paused.unwrap_or(self.paused);
        self.suspended = share.suspended.unwrap_or(self.suspended);
        self.draining = share.draining.unwrap_or(self.draining);
        self.flows.extend(share.queues.iter().map(|(queue, flow)| (queue.clone(), *flow)));
        self.hold_ms = 0;
    }

    /// When its rate and its parked jobs let it run.
    pub(super) fn blocked_until(&self) -> i64 {
        if self.interval_ms == 0 {
            return self.hold_ms;
        }
        self.hold_ms.max(self.arrival_ms - (self.burst - 1) * self.interval_ms)
    }

    /// Whether nothing but a lack of jobs keeps it from running.
    pub(super) fn may_run(&self, now_ms: i64) -> bool {
        !self.paused && !self.suspended && self.active.len() < self.cap && self.blocked_until() <= now_ms
    }

    /// How many jobs may start now, as far as cap and rate go.
    pub(super) fn allowance(&self, now_ms: i64) -> usize {
        let slots = self.cap.saturating_sub(self.active.len());
        if self.interval_ms == 0 {
            return slots;
        }
        let ahead_ms = (self.arrival_ms - now_ms).max(0);
        let used = (ahead_ms + self.interval_ms - 1) / self.interval_ms;
        slots.min(usize::try_from(self.burst - used).unwrap_or(0))
    }

    /// Pays for `count` jobs that start now.
    pub(super) fn charge(&mut self, count: usize, now_ms: i64) {
        self.virtual_time += count as u64 * STRIDE / self.weight;
        if self.interval_ms > 0 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.arrival_ms = self.arrival_ms.max(now_ms) + count * self.interval_ms;
        }
    }

    pub(super) fn waits_in(&self, lane: &str) -> bool {
        let levels = self.lists.iter().filter(|((name, _), _)| name == lane);
        levels.into_iter().any(|(_, list)| !list.is_empty())
    }

    pub(super) fn remember(&mut self, id: JobId, completed: bool, now_ms: i64) {
        if self.recent_until_ms <= now_ms {
            self.recent.clear();
        }
        self.recent.push_front((id, completed));
        self.recent.truncate(RECENT);
        self.recent_until_ms = now_ms + RECENT_MS;
    }

    /// Whether the job completed lately (`true`) or was called off (`false`).
    pub(super) fn remembered(&self, id: JobId, now_ms: i64) -> Option<bool> {
        let recent = self.recent.iter().filter(|_| now_ms < self.recent_until_ms);
        recent.filter(|(known, _)| *known == id).map(|(_, completed)| *completed).max()
    }
}
