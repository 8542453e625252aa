//! Random commands.

use proptest::collection::vec;
use proptest::prelude::*;

use super::commands::{Answer, Change, Command, Damage, End, Extra, Scope};

pub(super) fn any() -> impl Strategy<Value = Command> {
    prop_oneof![20 => coming(), 34 => going(), 16 => calling_off(), 12 => settings(), 14 => mishaps()]
}

fn flag() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

fn mostly() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.75)
}

fn number() -> impl Strategy<Value = usize> {
    0..1_000_usize
}

fn tenant() -> impl Strategy<Value = usize> {
    0..3_usize
}

fn skill() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0), 2 => Just(1), 2 => Just(2), 2 => Just(3)]
}

/// One of four, but mostly this one.
fn same<T: From<u8> + Clone + std::fmt::Debug>(usual: u8) -> impl Strategy<Value = T> {
    prop_oneof![3 => Just(usual), 1 => 0..4_u8].prop_map(T::from)
}

/// Of both lanes.
fn level() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0..4_u8, 2 => 4..8_u8, 2 => Just(1), 1 => Just(5)]
}

fn branch() -> impl Strategy<Value = usize> {
    0..3_usize
}

fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 1 => 1..20_000_u64]
}

fn coming() -> impl Strategy<Value = Command> {
    let extra = prop_oneof![
        6 => Just(Extra::Nothing),
        1 => Just(Extra::Accepted),
        1 => Just(Extra::Stranger),
        1 => number().prop_map(Extra::Member),
    ];
    let scope =
        prop_oneof![Just(Scope::Started), Just(Scope::Finished), (500..20_000_u64).prop_map(Scope::Period),];
    let answer = prop_oneof![Just(Answer::Keep), Just(Answer::Replace), Just(Answer::Reschedule)];
    prop_oneof![
        6 => (tenant(), 1..5_usize, skill(), level(), branch(), delay(), extra).prop_map(
            |(tenant, jobs, skill, level, branch, delay_ms, extra)| {
                Command::Push { tenant, jobs, skill, level, branch, delay_ms, extra }
            }
        ),
        6 => (tenant(), same(0), same(1), branch(), delay(), 0..2_usize, scope, answer).prop_map(
            |(tenant, skill, level, branch, delay_ms, key, scope, answer)| {
                Command::PushUnique { tenant, skill, level, branch, delay_ms, key, scope, answer }
            }
        ),
        3 => (tenant(), 0..4_usize, flag(), proptest::option::of(number())).prop_map(
            |(tenant, members, cancels, within)| Command::PushGroup { tenant, members, cancels, within }
        ),
        1 => (tenant(), 1..5_usize).prop_map(|(tenant, length)| Command::PushChain { tenant, length }),
        3 => vec(number(), 1..4).prop_map(|jobs| Command::PushAgain { jobs }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Completed),
        2 => prop_oneof![Just(0), 1..5_000_u64].prop_map(End::Retry),
        1 => prop_oneof![Just(0), 1..5_000_u64].prop_map(End::Waiting),
        3 => Just(End::Discarded),
        1 => Just(End::Quarantined),
        1 => Just(End::Parked),
        1 => Just(End::Dropped),
        1 => Just(End::Released),
    ]
}

fn going() -> impl Strategy<Value = Command> {
    let took = || proptest::option::of(prop_oneof![0..2_000_u64, 2_000..200_000_u64]);
    prop_oneof![
        9 => (0..2_usize, 1..8_usize, 1..16_u8, 1..4_u32).prop_map(|(worker, limit, skills, quantum)| {
            Command::Fetch { worker, limit, skills, quantum, newcomers: false }
        }),
        3 => (0..2_usize, 1..8_usize, 1..16_u8).prop_map(|(worker, limit, skills)| {
            Command::Fetch { worker, limit, skills, quantum: 1, newcomers: true }
        }),
        4 => (0..2_usize, 1..8_usize).prop_map(|(worker, limit)| {
            Command::Fetch { worker, limit, skills: 15, quantum: 2, newcomers: false }
        }),
        9 => (number(), number(), end(), 0..4_usize, proptest::option::of(flag()), took()).prop_map(
            |(claim, job, end, children, group, took_us)| {
                Command::Finish { claim, job, end, children, group, took_us }
            }
        ),
        4 => (number(), vec(end(), 1..4), took())
            .prop_map(|(claim, ends, took_us)| Command::FinishAll { claim, ends, took_us }),
        5 => prop_oneof![1..3_000_u64, 10_000..40_000_u64].prop_map(|ms| Command::Advance { ms }),
        1 => (number(), 0..50_000_u64).prop_map(|(claim, extra_us)| Command::Renew { claim, extra_us }),
        3 => (1..4_u32).prop_map(|max_claims| Command::Reap { max_claims }),
        4 => (tenant(), mostly()).prop_map(|(tenant, kept)| Command::Redrive { tenant, kept }),
        1 => (tenant(), flag(), proptest::option::of(flag()))
            .prop_map(|(tenant, kept, code)| Command::Purge { tenant, kept, code }),
    ]
}

fn calling_off() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (tenant(), vec(number(), 1..5)).prop_map(|(tenant, jobs)| Command::Cancel { tenant, jobs }),
        2 => (tenant(), number(), 0..9_000_u64)
            .prop_map(|(tenant, job, delay_ms)| Command::Reschedule { tenant, job, delay_ms }),
        2 => tenant().prop_map(|tenant| Command::CancelTenant { tenant }),
        2 => number().prop_map(|group| Command::CancelGroup { group }),
        3 => (1..6_u32).prop_map(|limit| Command::Sweep { limit }),
    ]
}

fn settings() -> impl Strategy<Value = Command> {
    let cap = || proptest::option::of(0..4_u32);
    let change = prop_oneof![
        2 => (1..9_u32).prop_map(Change::Weight),
        3 => cap().prop_map(Change::Cap),
        3 => (0..3_usize, cap()).prop_map(|(kind, cap)| Change::TypeCap(kind, cap)),
        2 => (0..3_000_u32, 1..4_u32).prop_map(|(interval, burst)| Change::Rate(interval, burst)),
        2 => (0..12_u64).prop_map(Change::BacklogJobs),
        1 => (0..9_000_u64).prop_map(Change::BacklogBytes),
        1 => (0..4_u64).prop_map(Change::ScheduledJobs),
        2 => flag().prop_map(Change::Paused),
        1 => flag().prop_map(Change::Suspended),
        1 => flag().prop_map(Change::Draining),
        3 => Just(Change::Usual),
    ];
    prop_oneof![
        4 => (tenant(), change).prop_map(|(tenant, change)| Command::Set { tenant, change }),
        1 => (proptest::option::of(tenant()), 0..2_usize, 0..5_usize)
            .prop_map(|(tenant, queue, flow)| Command::QueueFlow { tenant, queue, flow }),
    ]
}

fn mishaps() -> impl Strategy<Value = Command> {
    let damage = prop_oneof![
        2 => Just(Damage::Lease),
        2 => Just(Damage::Count),
        2 => Just(Damage::Record),
        1 => Just(Damage::Row),
        1 => Just(Damage::Job),
    ];
    prop_oneof![
        3 => (damage, number()).prop_map(|(what, number)| Command::Damage { what, number }),
        3 => Just(Command::Heal),
        4 => Just(Command::Again),
        3 => (tenant(), number()).prop_map(|(tenant, job)| Command::Look { tenant, job }),
        1 => (0..2_usize, 1..16_u8, flag())
            .prop_map(|(worker, skills, stay)| Command::Heartbeat { worker, skills, stay }),
        1 => Just(Command::FlushFunctions),
    ]
}
