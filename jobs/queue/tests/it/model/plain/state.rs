//! Everything that the queue knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fair_queue::{GroupId, JobId};

use super::line::Line;
use crate::model::commands::{Answer, Scope};
use crate::model::world::{BRANCHES, SKILLS, TENANTS};

pub(crate) type Id = JobId;

/// The constant attributes of a job.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) tenant: usize,
    pub(crate) skill: usize,
    /// 0 to 3 for the priorities of the interactive lane, 4 to 7 for those of bulk.
    pub(crate) level: u8,
    pub(crate) branch: usize,
    pub(crate) due: u64,
    pub(crate) group: Option<GroupId>,
    pub(crate) unique: Option<UniqueSpec>,
    pub(crate) wire_bytes: usize,
}

impl Spec {
    /// What records and tombstones say: the skill, and the branch if there is one.
    pub(crate) fn label(&self) -> String {
        let tab = if self.branch == 0 { "" } else { "\t" };
        format!("{}{tab}{}", SKILLS[self.skill].name, BRANCHES[self.branch])
    }

    pub(crate) const fn list(&self) -> (usize, usize, u8) {
        (self.tenant, self.skill, self.level)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct UniqueSpec {
    pub(crate) digest: String,
    pub(crate) scope: Scope,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Scheduled,
    Retryable,
    Parked,
}

impl Timer {
    pub(crate) const ALL: [Self; 3] = [Self::Scheduled, Self::Retryable, Self::Parked];

    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Self::Scheduled => "s",
            Self::Retryable => "y",
            Self::Parked => "k",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Keeping {
    Dead,
    Quarantine,
}

impl Keeping {
    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Self::Dead => "x",
            Self::Quarantine => "q",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not in the queue: never pushed, or the continuation of a group that is still open.
    Nowhere,
    Waiting,
    Timer(Timer, u64),
    Active(usize),
    Kept(Keeping, u64),
    /// Cancelled with all its tenant's work, and not swept yet.
    Garbage,
    Gone,
}

impl Place {
    /// Whether the queue has a record of the job.
    pub(crate) const fn is_known(self) -> bool {
        !matches!(self, Self::Nowhere | Self::Gone)
    }

    /// Whether the job will still run, or is running.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Timer(..) | Self::Active(_))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) spec: Spec,
    pub(crate) place: Place,
    pub(crate) attempts: u32,
    pub(crate) deaths: u32,
    pub(crate) interruptions: u32,
    pub(crate) parks: u32,
    pub(crate) epoch: u32,
    pub(crate) note: &'static str,
    /// It was a dead letter and was redriven.
    pub(crate) redriven: bool,
    pub(crate) why: &'static str,
    /// Its record cannot be read any more.
    pub(crate) damaged: bool,
    /// The fence of the claim that ran it when its cancellation was requested.
    pub(crate) wanted: Option<u64>,
    /// The group it is in.
    pub(crate) group: Option<GroupId>,
    /// The unique key it has, or had and would take again.
    pub(crate) key: Option<(Scope, String)>,
    /// How often it completed since it was pushed last.
    pub(crate) completed: u32,
}

impl Job {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            spec,
            place: Place::Nowhere,
            attempts: 0,
            deaths: 0,
            interruptions: 0,
            parks: 0,
            epoch: 0,
            note: "",
            redriven: false,
            why: "",
            damaged: false,
            wanted: None,
            group: None,
            key: None,
            completed: 0,
        }
    }

    /// Size of its record.
    pub(crate) fn bytes(&self) -> u64 {
        if self.damaged {
            return DAMAGED.len() as u64;
        }
        let header = 16 + self.spec.label().len() + TENANTS[self.spec.tenant].len() + self.note.len();
        (header + 3 + self.spec.wire_bytes) as u64
    }
}

/// The contents of a damaged record.
pub(crate) const DAMAGED: &str = "garbage";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Paused,
    Draining,
}

/// What a job of a tenant is likely to cost, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cost {
    Unknown,
    /// None has ended since the first started, then.
    Started(u64),
    Measured(f64),
}

impl Cost {
    /// As the queue writes it.
    pub(crate) fn written(self) -> f64 {
        match self {
            Self::Unknown => 0.0,
            Self::Started(since) => -super::claims::float(since),
            Self::Measured(us) => us,
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) weight: u32,
    pub(crate) cap: Option<u32>,
    pub(crate) emit: u32,
    pub(crate) burst: u32,
    pub(crate) backlog_jobs: Option<u64>,
    pub(crate) backlog_bytes: Option<u64>,
    pub(crate) scheduled_jobs: Option<u64>,
    pub(crate) type_caps: BTreeMap<usize, u32>,
    pub(crate) paused: bool,
    pub(crate) suspended: bool,
    pub(crate) draining: bool,
    pub(crate) queues: BTreeMap<usize, Flow>,
    pub(crate) hold: u64,
    /// Theoretical arrival time of the rate limit, in milliseconds.
    pub(crate) tat: f64,
    pub(crate) bytes: i64,
    pub(crate) epoch: u32,
    pub(crate) cost: Cost,
    /// The charge paid in advance, in microseconds.
    pub(crate) credit: f64,
    /// What was added to its virtual time since the keys were looked at, in how many steps.
    pub(crate) paid: f64,
    pub(crate) payments: u32,
    pub(crate) last_payment: f64,
    /// Its row was made again, without what was measured.
    pub(crate) row_lost: bool,
    /// Slots of types with a cap of their own.
    pub(crate) slots: BTreeMap<usize, BTreeSet<Id>>,
    /// Outcomes: completed, cancelled, discarded, quarantined.
    pub(crate) outcomes: [u64; 4],
    /// Jobs that have ended, as they did so last: `true` if completed.
    pub(crate) ended: BTreeMap<Id, bool>,
    /// The seconds in which it was admitted, as far as they are in its window.
    pub(crate) asked: Vec<i64>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            weight: 1,
            cap: None,
            emit: 0,
            burst: 1,
            backlog_jobs: None,
            backlog_bytes: None,
            scheduled_jobs: None,
            type_caps: BTreeMap::new(),
            paused: false,
            suspended: false,
            draining: false,
            queues: BTreeMap::new(),
            hold: 0,
            tat: 0.0,
            bytes: 0,
            epoch: 0,
            cost: Cost::Unknown,
            credit: 0.0,
            paid: 0.0,
            payments: 0,
            last_payment: 0.0,
            row_lost: false,
            slots: BTreeMap::new(),
            outcomes: [0; 4],
            ended: BTreeMap::new(),
            asked: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) fence: u64,
    /// Worker, attempt, and what its jobs were charged each, in microseconds.
    pub(crate) request: (usize, u64),
    pub(crate) jobs: Vec<(Id, u64)>,
    /// Sizes of the records that were handed out with it.
    pub(crate) bytes: BTreeMap<Id, usize>,
    /// When its entry among the leases ends.
    pub(crate) lease: Option<u64>,
    /// How many of its jobs are left, as the queue counts them.
    pub(crate) left: Option<i64>,
    /// What the queue wrote down of it: jobs by tenant.
    pub(crate) record: Option<Vec<(usize, Vec<Id>)>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// A member that is the continuation of another group has that one's id.
    pub(crate) members: BTreeMap<Id, Option<GroupId>>,
    pub(crate) continuation: Id,
    pub(crate) epoch: u32,
    pub(crate) cancels: bool,
    pub(crate) failed: u64,
}

/// The cancelled batches for `sweep`.
#[derive(Debug, Clone)]
pub(crate) struct Litter {
    pub(crate) tenant: usize,
    pub(crate) ids: VecDeque<Id>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) tenants: [Tenant; TENANTS.len()],
    pub(crate) queues: BTreeMap<usize, Flow>,
    pub(crate) jobs: BTreeMap<Id, Job>,
    /// In the order in which they were made.
    pub(crate) order: Vec<Id>,
    pub(crate) lists: BTreeMap<(usize, usize, u8), Line>,
    pub(crate) ghosts: BTreeMap<Id, usize>,
    pub(crate) timers: BTreeMap<(String, usize), u64>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) groups: BTreeMap<(usize, GroupId), Group>,
    /// Key -> until and holder; and when keys with a period expire.
    pub(crate) keys: BTreeMap<(usize, String), (Option<u64>, Id)>,
    pub(crate) expiries: BTreeMap<(usize, String), u64>,
    /// Running jobs that received a stop signal, and when.
    pub(crate) signals: BTreeMap<String, u64>,
    pub(crate) litter: VecDeque<Litter>,
    /// What a call cancelled for whole tenants and the order of which only the queue knows: jobs by tenant.
    pub(crate) called_off: Option<(usize, BTreeSet<Id>)>,
    /// The result of the last fetch, in its order.
    pub(crate) taken: Vec<Id>,
    pub(crate) workers: BTreeMap<(usize, usize), u64>,
}
