//! Each job is in exactly one state, with the record it should have.

use std::collections::{BTreeMap, BTreeSet};

use super::same;
use super::snapshot::{Hash, SETS, Snapshot};
use super::waiting::whole;
use crate::model::commands::Scope;
use crate::model::plain::{Job, Keeping, Model, Place};
use crate::model::world::TENANTS;

pub(super) fn check(now: &Snapshot, model: &Model) -> Result<(), String> {
    let known: BTreeSet<String> =
        model.jobs.iter().filter(|(_, job)| job.place.is_known()).map(|(id, _)| id.to_string()).collect();
    same("jobs with a record", &now.records.keys().cloned().collect(), &known)?;
    for (id, job) in model.jobs.iter().filter(|(_, job)| job.place.is_known()) {
        record(job, &now.records[&id.to_string()]).map_err(|error| format!("record of {id}: {error}"))?;
    }
    for tenant in 0..TENANTS.len() {
        kept(now, model, tenant)?;
        groups(now, model, tenant)?;
        keys(now, model, tenant)?;
        ended(now, model, tenant)?;
    }
    Ok(())
}

fn record(job: &Job, found: &[u8]) -> Result<(), String> {
    same("size", &(found.len() as u64), &job.bytes())?;
    if job.damaged {
        return Ok(());
    }
    let Job { spec, attempts, deaths, interruptions, parks, epoch, note, redriven, .. } = job;
    let layout = if *redriven { 3 } else { 2 };
    let counters =
        format!("{layout}{}{attempts:03}{deaths:02}{interruptions:03}{parks:02}{epoch:04}", spec.level);
    let header = format!("{counters}{}\n{}\n{note}\n", spec.label(), TENANTS[spec.tenant]);
    let found = String::from_utf8_lossy(&found[..found.len() - spec.wire_bytes]).into_owned();
    same("header", &found, &header)
}

fn kept(now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let mut why = BTreeSet::new();
    for keeping in [Keeping::Dead, Keeping::Quarantine] {
        let at = SETS.iter().position(|set| *set == keeping.letter()).unwrap_or(0);
        let found = now.tenants[tenant].sets[at].iter().map(|(id, since)| (id.clone(), whole(*since)));
        let expected = model.jobs.iter().filter_map(|(id, job)| match job.place {
            Place::Kept(is, since) if is == keeping && job.spec.tenant == tenant => {
                Some((id.to_string(), since))
            }
            _ => None,
        });
        let expected: BTreeMap<_, _> = expected.collect();
        why.extend(expected.keys().cloned());
        same(keeping.letter(), &found.collect(), &expected)?;
    }
    same("reasons", &now.tenants[tenant].why.keys().cloned().collect(), &why)
}

fn groups(now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let of_tenant = || model.jobs.iter().filter(|(_, job)| job.spec.tenant == tenant);
    let members = of_tenant().filter_map(|(id, job)| Some((id.to_string(), job.group?.to_string())));
    same("members", &now.tenants[tenant].member_of, &members.collect())?;
    for ((owner, id), group) in model.groups.iter().filter(|((owner, _), _)| *owner == tenant) {
        let mut found = now.groups[&(*owner, id.to_string())].clone();
        let policy = if group.cancels { "c" } else { "a" };
        same("policy", &found.remove("p").as_deref(), &Some(policy))?;
        same("failed members", &found.remove("f"), &Some(group.failed.to_string()))?;
        let continuation = found.remove("c").unwrap_or_default();
        if !continuation.starts_with(&format!("{}\n", group.continuation)) {
            return Err(format!("group {id} continues with {continuation:?}"));
        }
        let inner =
            |inner: Option<fair_queue::GroupId>| inner.map_or_else(String::new, |inner| inner.to_string());
        let expected = group.members.iter().map(|(id, group)| (id.to_string(), inner(*group)));
        same("group", &found, &expected.collect())?;
    }
    Ok(())
}

fn keys(now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let keys = model.keys.iter().filter(|((owner, _), _)| *owner == tenant);
    let keys = keys.map(|((_, key), (until, holder))| {
        let until = until.map_or_else(|| "-".to_owned(), |until| until.to_string());
        (key.clone(), format!("{until} {holder}"))
    });
    same("unique keys", &now.tenants[tenant].keys, &keys.collect())?;
    let of = model.jobs.iter().filter(|(_, job)| job.spec.tenant == tenant).filter_map(|(id, job)| {
        let (scope, key) = job.key.as_ref()?;
        let scope = match scope {
            Scope::Started => 's',
            Scope::Finished => 'f',
            Scope::Period(_) => 'p',
        };
        Some((id.to_string(), format!("{scope}{key}")))
    });
    same("keys of jobs", &now.tenants[tenant].key_of, &of.collect())?;
    let expiries = model.expiries.iter().filter(|((owner, _), _)| *owner == tenant);
    let found = now.tenants[tenant].expiries.iter().map(|(key, at)| (key.clone(), whole(*at)));
    same(
        "periods of keys",
        &found.collect(),
        &expiries.map(|((_, key), at)| (key.clone(), *at)).collect::<BTreeMap<_, _>>(),
    )
}

fn ended(now: &Snapshot, model: &Model, tenant: usize) -> Result<(), String> {
    let (name, known) = (TENANTS[tenant], &model.tenants[tenant]);
    let is_own = |how: &str| how.get(1..) == Some(name);
    let found = now.ended.iter().filter(|(_, how)| is_own(how)).map(|(id, how)| (id.clone(), how.clone()));
    let how = |done: bool| format!("{}{name}", if done { '+' } else { '-' });
    let expected: Hash = known.ended.iter().map(|(id, done)| (id.to_string(), how(*done))).collect();
    same("ended", &found.collect(), &expected)?;
    let totals = now.totals.get(name).map_or(Ok([0.0; 4]), |packed| numbers(packed))?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let expected = known.outcomes.map(|count| count as f64);
    same("totals", &totals, &expected)
}

/// Four packed numbers.
fn numbers(packed: &[u8]) -> Result<[f64; 4], String> {
    let (numbers, rest) = packed.as_chunks::<8>();
    match (numbers, rest) {
        (&[a, b, c, d], []) => Ok([a, b, c, d].map(f64::from_le_bytes)),
        _ => Err(format!("{packed:?} are no totals")),
    }
}
