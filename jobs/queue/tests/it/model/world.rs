//! The tenants, workers, skills and jobs of a run.

use fair_queue::{NewJob, Skill};
use serde::{Deserialize, Serialize};

use crate::support::{EnqueueOptions, Harness, Job, Ping, Pong, skill_of};

pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
pub(super) const QUEUES: [&str; 2] = ["test", "bulk"];
pub(super) const TYPES: [&str; 3] = ["test.ping", "test.pong", "test.bulk"];
pub(super) const SKILLS: [SkillOf; 4] = [
    SkillOf { name: "test.ping@1", kind: 0, queue: 0 },
    SkillOf { name: "test.pong@2", kind: 1, queue: 0 },
    SkillOf { name: "test.ping@3", kind: 0, queue: 0 },
    SkillOf { name: "test.bulk@1", kind: 2, queue: 1 },
];
/// The branches of every tenant; the first means none.
pub(super) const BRANCHES: [&str; 3] = ["", "north", "south"];
/// Priorities of both lanes.
pub(super) const LEVELS: u8 = 8;
pub(super) const LEASE_MS: u64 = 30_000;
pub(super) const MAX_DEATHS: u32 = 3;
/// The charge for a job before any was measured, in microseconds, and the minimum charge.
pub(super) const UNKNOWN_US: f64 = 1000.0;
pub(super) const LEAST_US: u64 = 100;

/// A skill, with the numbers of its type and queue.
pub(super) struct SkillOf {
    pub(super) name: &'static str,
    pub(super) kind: usize,
    pub(super) queue: usize,
}

/// A later version of the pings: another skill of the same type.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NewPing {}

impl Job for NewPing {
    const TYPE: &'static str = "test.ping";
    const VERSION: u32 = 3;
    const QUEUE: &'static str = "test";
}

/// A type of another queue.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Bulk {}

impl Job for Bulk {
    const TYPE: &'static str = "test.bulk";
    const QUEUE: &'static str = "bulk";
}

pub(super) fn skill(number: usize) -> Skill {
    match number {
        0 => skill_of::<Ping>(),
        1 => skill_of::<Pong>(),
        2 => skill_of::<NewPing>(),
        _ => skill_of::<Bulk>(),
    }
}

/// The skills whose bits are set.
pub(super) fn skills(mask: u8) -> Vec<Skill> {
    (0..SKILLS.len()).filter(|number| mask & (1 << number) != 0).map(skill).collect()
}

pub(super) fn job(h: &Harness, tenant: usize, skill: usize, options: EnqueueOptions) -> NewJob {
    let tenant = TENANTS[tenant];
    match skill {
        0 => h.job(tenant, &Ping::default(), options),
        1 => h.job(tenant, &Pong::default(), options),
        2 => h.job(tenant, &NewPing::default(), options),
        _ => h.job(tenant, &Bulk::default(), options),
    }
}
