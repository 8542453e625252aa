//! What can happen to a queue.

/// Tenants, skills and levels are numbered; so are claims, groups and jobs, each number taken modulo how many
/// there are.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Push {
        tenant: usize,
        jobs: usize,
        skill: usize,
        level: u8,
        branch: usize,
        delay_ms: u64,
        extra: Extra,
    },
    PushUnique {
        tenant: usize,
        skill: usize,
        level: u8,
        branch: usize,
        delay_ms: u64,
        key: usize,
        scope: Scope,
        answer: Answer,
    },
    PushGroup {
        tenant: usize,
        members: usize,
        cancels: bool,
        within: Option<usize>,
    },
    PushChain {
        tenant: usize,
        length: usize,
    },
    /// Jobs that were pushed before, perhaps twice in this call, together with a new job.
    PushAgain {
        jobs: Vec<usize>,
    },
    Fetch {
        worker: usize,
        limit: usize,
        skills: u8,
        quantum: u32,
        newcomers: bool,
    },
    Finish {
        claim: usize,
        job: usize,
        end: End,
        children: usize,
        group: Option<bool>,
        took_us: Option<u64>,
    },
    /// All of a claim at once, ended in turn in these ways.
    FinishAll {
        claim: usize,
        ends: Vec<End>,
        took_us: Option<u64>,
    },
    Advance {
        ms: u64,
    },
    Renew {
        claim: usize,
        extra_us: u64,
    },
    Reap {
        max_claims: u32,
    },
    Heal,
    Sweep {
        limit: u32,
    },
    Cancel {
        tenant: usize,
        jobs: Vec<usize>,
    },
    Reschedule {
        tenant: usize,
        job: usize,
        delay_ms: u64,
    },
    CancelTenant {
        tenant: usize,
    },
    CancelGroup {
        group: usize,
    },
    Set {
        tenant: usize,
        change: Change,
    },
    QueueFlow {
        tenant: Option<usize>,
        queue: usize,
        flow: usize,
    },
    Redrive {
        tenant: usize,
        kept: bool,
    },
    Purge {
        tenant: usize,
        kept: bool,
        code: Option<bool>,
    },
    Damage {
        what: Damage,
        number: usize,
    },
    Heartbeat {
        worker: usize,
        skills: u8,
        stay: bool,
    },
    Look {
        tenant: usize,
        job: usize,
    },
    FlushFunctions,
    /// The answer to the last call got lost: it is sent again.
    Again,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Extra {
    Nothing,
    /// Was accepted before: no limit holds.
    Accepted,
    /// Another tenant's job in the same call.
    Stranger,
    /// As members of a group that is open, or not.
    Member(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Started,
    Finished,
    Period(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Keep,
    Replace,
    Reschedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Retry(u64),
    Waiting(u64),
    Discarded,
    Quarantined,
    Parked,
    Dropped,
    Released,
}

impl End {
    pub(super) const fn is_final(self) -> bool {
        !matches!(self, Self::Retry(_) | Self::Waiting(_) | Self::Parked | Self::Released)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Weight(u32),
    Cap(Option<u32>),
    TypeCap(usize, Option<u32>),
    Rate(u32, u32),
    BacklogJobs(u64),
    BacklogBytes(u64),
    ScheduledJobs(u64),
    Paused(bool),
    Suspended(bool),
    Draining(bool),
    Usual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Lease,
    Count,
    Record,
    Row,
    Job,
}
