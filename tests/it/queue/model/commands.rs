//! What can happen to a queue.

use proptest::prelude::*;

/// Tenants are numbered; so are claims and jobs, each number taken modulo how many there are.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Push {
        tenant: usize,
        jobs: usize,
        lane: Lane,
        level: u8,
        delay_ms: u64,
    },
    /// The same job again.
    PushAgain {
        job: usize,
    },
    Fetch {
        limit: usize,
        all_lanes: bool,
    },
    Finish {
        claim: usize,
        job: usize,
        end: End,
        children: usize,
        group: bool,
    },
    /// All of a claim at once.
    Complete {
        claim: usize,
    },
    Advance {
        ms: u64,
    },
    Renew {
        claim: usize,
    },
    Reap {
        max_claims: u32,
    },
    Cap {
        tenant: usize,
        cap: u32,
    },
    Pause {
        tenant: usize,
        paused: bool,
    },
    Redrive {
        job: usize,
    },
    FlushFunctions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Every worker declares it.
    Known,
    /// Some do.
    Rare,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Completed,
    Retry { after_ms: u64 },
    Discarded,
    Quarantined,
    Parked,
    Dropped,
    Released,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Completed),
        2 => prop_oneof![Just(0), 1..5_000_u64].prop_map(|after_ms| End::Retry { after_ms }),
        1 => Just(End::Discarded),
        1 => Just(End::Quarantined),
        1 => Just(End::Parked),
        1 => Just(End::Dropped),
        1 => Just(End::Released),
    ]
}

pub(super) fn any() -> impl Strategy<Value = Command> {
    let lane = prop_oneof![3 => Just(Lane::Known), 1 => Just(Lane::Rare)];
    let delay = prop_oneof![3 => Just(0), 1 => 1..20_000_u64];
    let number = 0..1_000_usize;
    prop_oneof![
        6 => (0..3_usize, 1..5_usize, lane, 0..4_u8, delay)
            .prop_map(|(tenant, jobs, lane, level, delay_ms)| {
                Command::Push { tenant, jobs, lane, level, delay_ms }
            }),
        1 => number.clone().prop_map(|job| Command::PushAgain { job }),
        8 => (1..8_usize, any_bool()).prop_map(|(limit, all_lanes)| Command::Fetch { limit, all_lanes }),
        9 => (number.clone(), number.clone(), end(), 0..4_usize, any_bool())
            .prop_map(|(claim, job, end, children, group)| {
                Command::Finish { claim, job, end, children, group }
            }),
        2 => number.clone().prop_map(|claim| Command::Complete { claim }),
        4 => prop_oneof![1..3_000_u64, 10_000..40_000_u64].prop_map(|ms| Command::Advance { ms }),
        1 => number.clone().prop_map(|claim| Command::Renew { claim }),
        2 => (1..4_u32).prop_map(|max_claims| Command::Reap { max_claims }),
        1 => (0..3_usize, 0..4_u32).prop_map(|(tenant, cap)| Command::Cap { tenant, cap }),
        1 => (0..3_usize, any_bool()).prop_map(|(tenant, paused)| Command::Pause { tenant, paused }),
        1 => number.prop_map(|job| Command::Redrive { job }),
        1 => Just(Command::FlushFunctions),
    ]
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}
