use std::collections::BTreeMap;

use jobs::queue::QueueStats;
use schemars::JsonSchema;
use serde::Serialize;

/// How many of a tenant's jobs are where.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobCounts {
    counts: ByState,
    totals: Totals,
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

impl From<QueueStats> for JobCounts {
    fn from(stats: QueueStats) -> Self {
        Self {
            counts: ByState {
                scheduled: stats.scheduled,
                available: stats.available,
                active: stats.active,
                retryable: stats.retryable,
                parked: stats.parked,
                discarded: stats.discarded,
                quarantined: stats.quarantined,
            },
            totals: Totals {
                completed: stats.completed_total,
                cancelled: stats.cancelled_total,
                discarded: stats.discarded_total,
                quarantined: stats.quarantined_total,
            },
            waiting_for_a_worker: stats.undeclared,
        }
    }
}
