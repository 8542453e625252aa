//! Leases match the jobs in flight, slots match the running jobs, and every claim has the right number of jobs left.

use std::collections::{BTreeMap, BTreeSet};

use super::same;
use super::snapshot::Snapshot;
use super::waiting::{parse, whole};
use crate::model::plain::{Id, Model, Place};
use crate::model::world::{TENANTS, TYPES};

pub(super) fn check(now: &Snapshot, model: &mut Model) -> Result<(), String> {
    let leases = model.claims.iter().filter_map(|claim| Some((claim.fence.to_string(), claim.lease?)));
    let found = now.leases.iter().map(|(fence, end)| (fence.clone(), whole(*end)));
    same("leases", &found.collect::<BTreeMap<_, _>>(), &leases.collect())?;
    let left =
        model.claims.iter().filter_map(|claim| Some((claim.fence.to_string(), claim.left?.to_string())));
    same("jobs left of claims", &now.left, &left.collect())?;
    let found = now.signals.iter().map(|(signal, since)| (signal.clone(), whole(*since)));
    same("signals", &found.collect(), &model.signals)?;
    for number in 0..model.claims.len() {
        record(now, model, number)?;
    }
    (0..TENANTS.len()).try_for_each(|tenant| slots(now, model, tenant))
}

/// Adopts the order in which the queue wrote down what a claim took: the reaper goes by it.
fn record(now: &Snapshot, model: &mut Model, number: usize) -> Result<(), String> {
    let held: BTreeSet<Id> = model.held(number).into_iter().collect();
    let claim = &mut model.claims[number];
    let written = now.claims.get(&claim.fence).and_then(Option::as_ref);
    same("claim's record", &written.is_some(), &claim.record.is_some())?;
    let Some(written) = written else { return Ok(()) };
    let words: Vec<String> = written.split('\n').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let tenant = TENANTS.iter().position(|name| *name == words[at]).ok_or("a claim of no tenant")?;
        let count: usize = words.get(at + 1).and_then(|count| count.parse().ok()).ok_or("no count")?;
        let ids = words.get(at + 2..at + 2 + count).ok_or("a claim's record is too short")?;
        blocks.push((tenant, Vec::from(parse(ids)?)));
        at += 2 + count;
    }
    let listed: BTreeSet<Id> = blocks.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    if !held.is_subset(&listed) {
        return Err(format!("claim {} holds {held:?} and has written down {listed:?}", claim.fence));
    }
    claim.record = Some(blocks);
    Ok(())
}

fn slots(now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let keys = &now.tenants[tenant];
    let mine = || model.jobs.iter().filter(|(_, job)| job.spec.tenant == tenant);
    let active = mine().filter_map(|(id, job)| match job.place {
        Place::Active(claim) => Some((id.to_string(), model.claims[claim].fence.to_string())),
        _ => None,
    });
    same("in flight", &keys.active, &active.collect())?;
    let wanted = mine().filter_map(|(id, job)| Some((id.to_string(), job.wanted?.to_string())));
    same("running and cancelled", &keys.cancels, &wanted.collect())?;
    for (kind, name) in TYPES.iter().enumerate() {
        let expected = model.tenants[tenant].slots.get(&kind).cloned().unwrap_or_default();
        same(name, &keys.slots[kind], &expected.into_iter().map(|id| id.to_string()).collect())?;
    }
    Ok(())
}
