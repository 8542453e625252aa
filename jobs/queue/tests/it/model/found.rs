//! Scripts that found bugs once, as short as they can be.

use super::commands::{Answer, Change, Command, Damage, End, Extra, Scope};
use super::seeds::tried;

const fn push(tenant: usize, jobs: usize) -> Command {
    Command::Push { tenant, jobs, skill: 0, level: 1, branch: 0, delay_ms: 0, extra: Extra::Nothing }
}

const fn unique(scope: Scope, answer: Answer) -> Command {
    Command::PushUnique { tenant: 0, skill: 0, level: 1, branch: 0, delay_ms: 0, key: 0, scope, answer }
}

const fn fetch(limit: usize) -> Command {
    Command::Fetch { worker: 0, limit, skills: 15, quantum: 2, newcomers: false }
}

const fn finish(end: End) -> Command {
    Command::Finish { claim: 0, job: 0, end, children: 0, group: None, took_us: None }
}

fn check(script: &[Command]) {
    assert_eq!(tried(script), Ok(()));
}

#[test]
fn a_cancelled_group_leaves_no_row_behind() {
    check(&[Command::PushChain { tenant: 0, length: 2 }, Command::CancelGroup { group: 0 }]);
}

#[test]
fn a_cancelled_group_takes_the_groups_along_that_its_members_wait_for() {
    for group in 0..3 {
        check(&[Command::PushChain { tenant: 0, length: 4 }, Command::CancelGroup { group }]);
    }
}

#[test]
fn a_link_of_a_chain_may_open_a_group_of_its_own() {
    let opens = Command::Finish {
        claim: 0,
        job: 0,
        end: End::Completed,
        children: 2,
        group: Some(false),
        took_us: None,
    };
    check(&[Command::PushChain { tenant: 0, length: 3 }, fetch(1), opens]);
}

#[test]
fn what_is_discarded_after_its_tenant_was_called_off_is_no_dead_letter() {
    check(&[push(0, 1), fetch(1), Command::CancelTenant { tenant: 0 }, finish(End::Discarded)]);
}

#[test]
fn a_claim_that_lost_its_count_keeps_its_lease() {
    let damage = Command::Damage { what: Damage::Count, number: 0 };
    check(&[push(0, 3), fetch(3), damage, Command::Heal, finish(End::Completed), Command::Heal]);
}

#[test]
fn a_fetch_that_is_asked_again_says_what_was_charged() {
    check(&[push(0, 3), fetch(3), Command::Again]);
}

#[test]
fn the_end_of_a_period_frees_no_key_of_another_scope() {
    let replaced = unique(Scope::Finished, Answer::Replace);
    let late = Command::Advance { ms: 2_000 };
    check(&[unique(Scope::Period(1_000), Answer::Keep), replaced.clone(), late, replaced]);
}

#[test]
fn a_job_whose_record_is_damaged_can_be_purged() {
    let damage = Command::Damage { what: Damage::Job, number: 0 };
    let purge = Command::Purge { tenant: 0, kept: false, code: None };
    check(&[push(0, 1), fetch(1), damage, finish(End::Retry(0)), purge]);
}

#[test]
fn a_damaged_record_is_swept_with_its_tenants_work() {
    let damage = Command::Damage { what: Damage::Job, number: 1 };
    check(&[push(0, 3), fetch(1), damage, Command::CancelTenant { tenant: 0 }]);
}

#[test]
fn what_is_dropped_weighs_nothing_any_more() {
    let quota = Command::Set { tenant: 0, change: Change::BacklogBytes(9_000) };
    check(&[quota, push(0, 3), fetch(1), finish(End::Dropped)]);
}

#[test]
fn what_was_there_before_is_not_weighed_twice() {
    let quota = Command::Set { tenant: 0, change: Change::BacklogBytes(90_000) };
    let cancel = Command::Cancel { tenant: 0, jobs: vec![2, 3, 4, 5, 6] };
    let again = Command::PushAgain { jobs: vec![0, 1, 1, 2] };
    check(&[quota, push(0, 4), cancel, again.clone(), again]);
}

#[test]
fn nobody_cancels_another_tenants_job_because_its_record_is_damaged() {
    let damage = Command::Damage { what: Damage::Job, number: 1 };
    let cancel = Command::Cancel { tenant: 1, jobs: vec![9] };
    check(&[push(0, 4), fetch(1), damage, cancel]);
}

#[test]
fn a_row_that_is_made_again_remembers_garbage_and_keys() {
    let damage = Command::Damage { what: Damage::Row, number: 0 };
    check(&[push(0, 2), Command::CancelTenant { tenant: 0 }, damage.clone()]);
    check(&[unique(Scope::Finished, Answer::Keep), fetch(1), finish(End::Discarded), damage]);
}

#[test]
fn a_continuation_that_was_cancelled_stays_so_and_is_not_lost_beside_its_ghost() {
    let end = End::Completed;
    let opens = Command::Finish { claim: 0, job: 0, end, children: 0, group: Some(false), took_us: None };
    let fetch = Command::Fetch { worker: 0, limit: 1, skills: 1, quantum: 1, newcomers: false };
    let cancel = Command::Cancel { tenant: 0, jobs: vec![3] };
    let again = Command::PushAgain { jobs: vec![0] };
    check(&[push(0, 1), fetch.clone(), opens.clone(), cancel, again, fetch, opens]);
}
