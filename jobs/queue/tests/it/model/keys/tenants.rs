//! Tenants' rows: which are ready, which are held back, and the virtual time of each.

use super::row::{CAPPED, PAUSED, Row, State};
use super::same;
use super::snapshot::Snapshot;
use super::waiting::whole;
use crate::model::plain::{Flow, Model, Place};
use crate::model::world::{SKILLS, SkillOf, TENANTS};

const UNCAPPED: f64 = 1e9;

pub(super) fn check(before: &Snapshot, now: &Snapshot, model: &mut Model) -> Result<(), String> {
    for (tenant, name) in TENANTS.iter().enumerate() {
        let checked = check_tenant(before, now, model, tenant);
        checked.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn check_tenant(before: &Snapshot, now: &Snapshot, model: &mut Model, tenant: usize) -> Result<(), String> {
    let Some(row) = now.row(tenant)? else {
        may_be_absent(before, now, model, tenant)?;
        model.row_gone(tenant);
        same("settings", &now.tenants[tenant].settings, &model.settings(tenant))?;
        return ready_index(now, tenant, &Row::default());
    };
    same("settings", &now.tenants[tenant].settings, &model.settings(tenant))?;
    let nothing_open = !model.jobs.values().any(|job| job.spec.tenant == tenant && job.place.is_open());
    if row.bytes == 0.0 && nothing_open {
        model.tenants[tenant].bytes = 0; // a wrong guess ends when nothing is open
    }
    numbers(&row, model, tenant)?;
    flags(now, &row, model, tenant)?;
    skills(now, &row, model, tenant)?;
    state(now, &row, model, tenant)?;
    ready_index(now, tenant, &row)?;
    virtual_time(before, now, &row, model, tenant)
}

/// Invariant: nothing of a tenant is forgotten that would make a difference.
fn may_be_absent(before: &Snapshot, now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let keys = &now.tenants[tenant];
    let paid = before.row(tenant)?.map_or(0.0, |row| row.virtual_time);
    let leftovers = [
        ("lists", keys.lists.values().any(|lists| !lists.is_empty())),
        ("running jobs", !keys.active.is_empty()),
        ("settings", !keys.settings.is_empty()),
        ("ghosts", !keys.ghosts.is_empty()),
        ("unique keys", !keys.keys.is_empty() || !keys.key_of.is_empty()),
        ("groups", !keys.member_of.is_empty()),
        ("garbage", model.jobs.values().any(|job| job.spec.tenant == tenant && job.place == Place::Garbage)),
        ("debt", !model.tenants[tenant].row_lost && whole(paid) > now.virtual_clock),
        ("a hold", model.tenants[tenant].hold > model.now),
    ];
    let leftovers: Vec<_> = leftovers.into_iter().filter_map(|(what, is)| is.then_some(what)).collect();
    if leftovers.is_empty() { Ok(()) } else { Err(format!("has no row, but {leftovers:?}")) }
}

fn numbers(row: &Row, model: &Model, number: usize) -> Result<(), String> {
    let tenant = &model.tenants[number];
    #[expect(clippy::cast_precision_loss, reason = "small, or milliseconds since 1970")]
    let (hold, bytes) = (tenant.hold as f64, tenant.bytes as f64);
    let expected = [
        ("weight", row.weight, f64::from(tenant.weight)),
        ("cap", row.cap, tenant.cap.map_or(UNCAPPED, f64::from)),
        ("emit", row.emit, f64::from(tenant.emit)),
        ("burst", row.burst, f64::from(tenant.burst)),
        ("epoch", f64::from(row.epoch), f64::from(tenant.epoch)),
        ("hold", row.hold, hold),
        ("rate", row.tat, tenant.tat),
        ("credit", row.credit, tenant.credit),
        ("estimate", row.estimate, tenant.cost.written()),
        ("bytes", if row.has("bytes") { row.bytes } else { 0.0 }, if row.has("bytes") { bytes } else { 0.0 }),
    ];
    for (what, found, expected) in expected {
        if (found - expected).abs() > 1e-3 {
            return Err(format!("{what}: found {found}, expected {expected}"));
        }
    }
    Ok(())
}

/// A missing flag hides jobs; a superfluous one only costs time.
fn flags(now: &Snapshot, row: &Row, model: &Model, number: usize) -> Result<(), String> {
    let (keys, tenant) = (&now.tenants[number], &model.tenants[number]);
    let quotas = [tenant.backlog_jobs, tenant.backlog_bytes, tenant.scheduled_jobs];
    let exact = [
        ("paused", tenant.paused),
        ("suspended", tenant.suspended),
        ("draining", tenant.draining),
        ("quotas", quotas.iter().any(Option::is_some)),
        ("bytes", tenant.backlog_bytes.is_some()),
    ];
    for (flag, expected) in exact {
        same(flag, &row.has(flag), &expected)?;
    }
    let mut mine = model.lists.iter().filter(|((of, ..), _)| *of == number).flat_map(|(_, line)| line.ids());
    let has_branches = mine.any(|id| model.jobs[&id].spec.branch > 0);
    let garbage = |job: &crate::model::plain::Job| job.spec.tenant == number && job.place == Place::Garbage;
    let needed = [
        ("branches", has_branches),
        ("ghosts", !keys.ghosts.is_empty()),
        ("cancels", !keys.cancels.is_empty()),
        ("groups", !keys.member_of.is_empty()),
        ("unique", !keys.keys.is_empty() || !keys.key_of.is_empty()),
        ("caps", !tenant.type_caps.is_empty()),
        ("queues", !tenant.queues.is_empty()),
        ("garbage", model.jobs.values().any(garbage)),
    ];
    let missing: Vec<_> = needed.into_iter().filter(|&(flag, is)| is && !row.has(flag)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("flags are missing: {missing:?}")) }
}

fn skills(now: &Snapshot, row: &Row, model: &Model, tenant: usize) -> Result<(), String> {
    for (skill, SkillOf { name, kind, queue }) in SKILLS.iter().enumerate() {
        let Some(number) = now.skill_number(skill) else { continue };
        let bits = row.skill(number);
        let lists = now.tenants[tenant].lists.iter().filter(|((of, _), _)| *of == skill);
        for ((_, level), lists) in lists {
            if !lists.is_empty() && bits & (1 << level) == 0 {
                return Err(format!("{name}.{level} has jobs that the row does not know of: {lists:?}"));
            }
            let in_turns = row.turns(number) & (1 << level) != 0;
            same("in turns", &in_turns, &!lists.turns.is_empty())?;
        }
        let paused = model.tenants[tenant].queues.get(queue) == Some(&Flow::Paused);
        if bits != 0 && (bits & PAUSED != 0) != paused {
            return Err(format!("{name}: paused {paused}, but its bits are {bits}"));
        }
        if bits & CAPPED != 0 && model.type_has_room(tenant, *kind) {
            return Err(format!("{name} is closed, but its type has room"));
        }
    }
    Ok(())
}

/// Invariant 3: a tenant that may run is ready or waits for a moment that will come.
fn state(now: &Snapshot, row: &Row, model: &Model, tenant: usize) -> Result<(), String> {
    let of = &model.tenants[tenant];
    let until = model.blocked_until(tenant);
    let timer = now.timers.get(&format!("r{}", TENANTS[tenant])).copied().map(whole);
    let expected = if of.paused || of.suspended {
        State::Paused
    } else if !row.skills.iter().any(|&(_, bits)| Row::is_open(bits)) {
        State::Idle
    } else if of.cap.is_some_and(|cap| model.active(tenant) >= u64::from(cap)) {
        State::Capped
    } else if until > model.now || row.state == State::Limited && timer == Some(until) {
        State::Limited
    } else {
        State::Ready
    };
    same("state", &row.state, &expected)?;
    if expected == State::Limited { same("timer", &timer, &Some(until)) } else { Ok(()) }
}

/// Invariant 2: a tenant is in the ready index of exactly the skills in which it may start something.
fn ready_index(now: &Snapshot, tenant: usize, row: &Row) -> Result<(), String> {
    for (number, ready) in now.ready.iter().enumerate() {
        let is_open = row.state == State::Ready && Row::is_open(row.skill(number));
        let expected = is_open.then(|| whole(row.virtual_time));
        same(
            &format!("ready in skill {number}"),
            &ready.get(TENANTS[tenant]).copied().map(whole),
            &expected,
        )?;
    }
    Ok(())
}

/// Virtual time grows by what was charged, and jumps to the clock at most: no credit, no back pay.
fn virtual_time(
    before: &Snapshot,
    now: &Snapshot,
    row: &Row,
    model: &mut Model,
    number: usize,
) -> Result<(), String> {
    let tenant = &mut model.tenants[number];
    let was = if std::mem::take(&mut tenant.row_lost) { None } else { before.row(number)? };
    let was = was.map_or(0.0, |row| row.virtual_time);
    let paid = std::mem::take(&mut tenant.paid);
    let slack = f64::from(std::mem::take(&mut tenant.payments)) + 0.5;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let clock = now.virtual_clock as f64;
    let (least, most) = (was + paid - slack, was.max(clock) + paid + slack);
    if row.virtual_time < least || row.virtual_time > most {
        let found = row.virtual_time;
        return Err(format!(
            "virtual time went from {was} to {found}, with {paid} paid and the clock at {clock}"
        ));
    }
    Ok(())
}
