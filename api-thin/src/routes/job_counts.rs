use std::collections::BTreeMap;

use jobs::queue::QueueStats;
use schemars::JsonSchema;
use serde::Serialize;

/// How many of a tenant's jobs are where, or of one knowledge base's.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobCounts {
    /// Null for one knowledge base of a tenant that has too many jobs to look at them all.
    counts: Option<ByState>,
    /// Null for one knowledge base.
    totals: Option<Totals>,
    /// Jobs that are available and that no live worker runs, by type and version.
    waiting_for_a_worker: BTreeMap<String, u64>,
}

/// How many jobs are in which state.
#[derive(Debug, Serialize, JsonSchema)]
struct ByState {
    scheduled: u64,
    available: u64,
    active: u64,
    retryable: u64,
    parked: u64,
    discarded: u64,
    quarantined: u64,
}

/// How many jobs have ended how since the queue knows the tenant.
#[derive(Debug, Serialize, JsonSchema)]
struct Totals {
    completed: u64,
    cancelled: u64,
    discarded: u64,
    quarantined: u64,
}

impl JobCounts {
    /// Those of the whole tenant.
    pub(super) fn of_tenant(stats: QueueStats) -> Self {
        let totals = Totals {
            completed: stats.completed_total,
            cancelled: stats.cancelled_total,
            discarded: stats.discarded_total,
            quarantined: stats.quarantined_total,
        };
        Self { totals: Some(totals), ..Self::of_kb(Some(stats)) }
    }

    /// Those of one knowledge base, if they were counted.
    pub(super) fn of_kb(stats: Option<QueueStats>) -> Self {
        let counts = stats.as_ref().map(ByState::of);
        let waiting_for_a_worker = stats.map(|stats| stats.undeclared).unwrap_or_default();
        Self { counts, totals: None, waiting_for_a_worker }
    }
}

impl ByState {
    fn of(stats: &QueueStats) -> Self {
        Self {
            scheduled: stats.scheduled,
            available: stats.available,
            active: stats.active,
            retryable: stats.retryable,
            parked: stats.parked,
            discarded: stats.discarded,
            quarantined: stats.quarantined,
        }
    }
}
