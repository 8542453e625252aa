//! Lists, tombstones, timers and cancelled batches that wait for the sweeper.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::same;
use super::snapshot::{Lists, SETS, Snapshot};
use crate::model::plain::{Flow, Id, Line, Litter, Model, Timer};
use crate::model::world::{BRANCHES, LEVELS, QUEUES, SKILLS, TENANTS};

pub(super) fn check(now: &Snapshot, model: &mut Model) -> Result<(), String> {
    adopt_litter(now, model)?;
    for tenant in 0..TENANTS.len() {
        for skill in 0..SKILLS.len() {
            for level in 0..LEVELS {
                list(now, model, (tenant, skill, level))?;
            }
        }
        let expected = model
            .ghosts
            .iter()
            .filter(|&(_, &of)| of == tenant)
            .map(|(id, _)| (id.to_string(), model.jobs[id].spec.label()));
        same("ghosts", &now.tenants[tenant].ghosts, &expected.collect())?;
        for timer in Timer::ALL {
            let at = SETS.iter().position(|set| *set == timer.letter()).unwrap_or(0);
            let expected = model.in_timer(tenant, timer).into_iter().map(|(due, id)| (id.to_string(), due));
            let found = now.tenants[tenant].sets[at].iter().map(|(id, due)| (id.clone(), whole(*due)));
            same(timer.letter(), &found.collect::<BTreeMap<_, _>>(), &expected.collect())?;
        }
    }
    model.taken.clear();
    let flows = model.queues.iter().map(|(queue, flow)| {
        (QUEUES[*queue].to_owned(), if *flow == Flow::Paused { "paused" } else { "draining" }.to_owned())
    });
    same("queues", &now.queues, &flows.collect())?;
    let expected = model.timers.iter().map(|((kind, of), at)| (format!("{kind}{}", TENANTS[*of]), *at));
    let timers = now.timers.iter().filter(|(name, _)| !name.starts_with('r'));
    let found: BTreeMap<String, u64> = timers.map(|(name, at)| (name.clone(), whole(*at))).collect();
    same("timers", &found, &expected.collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
pub(super) fn whole(score: f64) -> u64 {
    score as u64
}

pub(super) fn parse(ids: &[String]) -> Result<VecDeque<Id>, String> {
    ids.iter().map(|id| id.parse().map_err(|_| format!("{id} is no id"))).collect()
}

/// A fetch takes jobs, and tombstones before them, from the head of the list, or of the branches' lists in turn;
/// nothing else changes.
fn list(now: &Snapshot, model: &mut Model, of: (usize, usize, u8)) -> Result<(), String> {
    let (tenant, skill, level) = of;
    let what = || format!("{}'s list {}.{level}", TENANTS[tenant], SKILLS[skill].name);
    let found = match now.tenants[tenant].lists.get(&(skill, level)) {
        Some(lists) => line(lists)?,
        None => Line::default(),
    };
    let expected = model.lists.entry(of).or_default();
    let taken = model.taken.iter().filter(|id| model.jobs[id].spec.list() == of);
    for id in taken {
        while expected.head().is_some_and(|head| head != *id && model.ghosts.remove(&head).is_some()) {
            expected.pop();
        }
        if expected.head() != Some(*id) {
            return Err(format!("{}: {id} was taken out of turn from {expected:?}", what()));
        }
        expected.pop();
    }
    while *expected != found && expected.head().is_some_and(|head| model.ghosts.remove(&head).is_some()) {
        expected.pop();
    }
    same(&what(), &found, expected)
}

fn line(lists: &Lists) -> Result<Line, String> {
    let named = |name: &String| BRANCHES.iter().position(|branch| branch == name);
    let turns =
        lists.turns.iter().map(|name| named(name).ok_or_else(|| format!("no branch is called {name}")));
    let mut branches = BTreeMap::new();
    for (branch, ids) in lists.branches.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
        branches.insert(branch, parse(ids)?);
    }
    Ok(Line { one: parse(&lists.one)?, turns: turns.collect::<Result<_, _>>()?, branches })
}

/// The order in which cancelled batches are swept is up to the queue.
fn adopt_litter(now: &Snapshot, model: &mut Model) -> Result<(), String> {
    let known = model.litter.len();
    let mut found = VecDeque::new();
    for (entry, ids) in now.litter.iter().zip(&now.heaps) {
        let owner = entry.split_once('\n').map_or("", |(owner, _)| owner);
        let tenant = TENANTS.iter().position(|name| owner == format!("d{name}"));
        let tenant = tenant.ok_or_else(|| format!("unexpected litter {entry:?}"))?;
        found.push_back(Litter { tenant, ids: parse(ids)? });
    }
    let kept: Vec<_> = found.iter().take(known).map(|heap| &heap.ids).collect();
    same("litter", &kept, &model.litter.iter().map(|heap| &heap.ids).collect())?;
    if let Some((tenant, ids)) = model.called_off.take() {
        let new = found.iter().skip(known);
        let swept: BTreeSet<Id> = new.clone().flat_map(|heap| heap.ids.iter().copied()).collect();
        same("called off", &swept, &ids)?;
        if new.clone().any(|heap| heap.tenant != tenant) {
            return Err("called off for another tenant".into());
        }
    } else {
        same("heaps to sweep", &found.len(), &known)?;
    }
    model.litter = found;
    Ok(())
}
