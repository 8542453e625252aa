use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::groups::Group;
use crate::id::{GroupId, JobId};
use crate::queue::limits::TenantShare;

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
    /// Theoretical arrival time of the rate limit.
    pub(super) arrival_ms: i64,
    /// Not before this, because one of its jobs was parked.
    pub(super) hold_ms: i64,
    /// Waiting jobs by lane and priority level.
    pub(super) lists: BTreeMap<(String, u8), VecDeque<JobId>>,
    pub(super) active: BTreeSet<JobId>,
    pub(super) groups: HashMap<GroupId, Group>,
    pub(super) totals: Totals,
    recent: VecDeque<(JobId, bool)>,
    recent_until_ms: i64,
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
            arrival_ms: 0,
            hold_ms: 0,
            lists: BTreeMap::new(),
            active: BTreeSet::new(),
            groups: HashMap::new(),
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
            self.cap = cap as usize;
        }
        if let Some(interval_ms) = share.interval_ms {
            self.interval_ms = i64::from(interval_ms);
        }
        if let Some(burst) = share.burst {
            self.burst = i64::from(burst.max(1));
        }
        if let Some(paused) = share.paused {
            self.paused = paused;
        }
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
        !self.paused && self.active.len() < self.cap && self.blocked_until() <= now_ms
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

    pub(super) fn waits_in(&self, lanes: &[String]) -> bool {
        self.lists.iter().any(|((lane, _), list)| !list.is_empty() && lanes.contains(lane))
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
