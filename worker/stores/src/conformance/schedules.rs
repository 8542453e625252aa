use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::fixture::{Pair, Party, now};
use crate::Opened;
use crate::model::{DueSchedule, Firing, NewSchedule, Schedule, Skipped};
use jobs::plan::Limits;

/// Why a schedule did not fire.
const WHY: (&str, &str) = ("actor_forbidden", "the actor no longer has the permission document:update");

pub(super) fn schedule(party: &Party, name: &str, next_fire_at: DateTime<Utc>) -> NewSchedule {
    NewSchedule {
        name: name.into(),
        kb_id: party.kb.id.clone(),
        cron: "0 3 * * *".into(),
        time_zone: "Europe/Vienna".into(),
        next_fire_at,
        template: party.job(),
        created_by: "user:ann".into(),
    }
}

/// The due schedules of these tenants.
async fn due(opened: &Opened, pair: &Pair, at: DateTime<Utc>) -> Vec<DueSchedule> {
    let due = opened.schedules.schedules_due(at, 10_000).await.unwrap();
    let ours = [pair.acme.id(), pair.twin.id()];
    due.into_iter().filter(|due| ours.contains(&&due.tenant_id)).collect()
}

pub(super) async fn kept_and_replaced(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let later = pair.now + TimeDelta::days(1);
    catalog.schedule_put(&schedule(&pair.acme, "nightly", later), &Limits::default()).await.unwrap();
    catalog.schedule_put(&schedule(&pair.acme, "always", later), &Limits::default()).await.unwrap();
    let mut changed = schedule(&pair.acme, "nightly", later + TimeDelta::hours(1));
    changed.cron = "0 4 * * *".into();
    catalog.schedule_put(&changed, &Limits::default()).await.unwrap();

    let expected = |name: &str, cron: &str, next_fire_at| Schedule {
        name: name.into(),
        kb_id: kb.clone(),
        cron: cron.into(),
        time_zone: "Europe/Vienna".into(),
        kind: "document.ingest".into(),
        next_fire_at,
        last_fire_at: None,
        paused: false,
        created_by: "user:ann".into(),
        skipped: None,
    };
    let always = expected("always", "0 3 * * *", later);
    let nightly = expected("nightly", "0 4 * * *", later + TimeDelta::hours(1));
    assert_eq!(catalog.schedules(kb).await.unwrap(), [always.clone(), nightly]);

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.schedules(kb).await.unwrap(), []);
    assert!(!twin.schedule_delete(kb, "nightly").await.unwrap());
    assert!(catalog.schedule_delete(kb, "nightly").await.unwrap());
    assert!(!catalog.schedule_delete(kb, "nightly").await.unwrap());
    assert_eq!(catalog.schedules(kb).await.unwrap(), [always]);

    let foreign = schedule(&pair.twin, "foreign", later);
    assert!(!catalog.schedule_put(&foreign, &Limits::default()).await.unwrap_err().is_transient());
}

pub(super) async fn due_in_order(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let at = |seconds| pair.now + TimeDelta::seconds(seconds);
    let late = schedule(&pair.acme, "late", at(20));
    pair.acme.stores.catalog().schedule_put(&late, &Limits::default()).await.unwrap();
    let early = schedule(&pair.twin, "early", at(10));
    pair.twin.stores.catalog().schedule_put(&early, &Limits::default()).await.unwrap();
    let names = async |moment| {
        let due = due(opened, &pair, moment).await;
        due.into_iter().map(|due| due.name).collect::<Vec<_>>()
    };
    assert!(names(at(9)).await.is_empty());
    assert_eq!(names(at(10)).await, ["early"]);
    assert_eq!(names(at(20)).await, ["early", "late"]);

    let due = due(opened, &pair, at(10)).await;
    assert_eq!((&due[0].tenant_id, &due[0].kb_id), (pair.twin.id(), &pair.twin.kb.id));
    assert_eq!((due[0].fire_at, due[0].template.as_str()), (at(10), early.template.wire()));
    assert_eq!((due[0].cron.as_str(), due[0].time_zone.as_str()), ("0 3 * * *", "Europe/Vienna"));
}

pub(super) async fn fired_once(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let next = pair.now + TimeDelta::days(1);
    for party in [&pair.acme, &pair.twin] {
        let nightly = schedule(party, "nightly", pair.now);
        party.stores.catalog().schedule_put(&nightly, &Limits::default()).await.unwrap();
    }
    let found = due(opened, &pair, pair.now).await;
    let due_acme = found.iter().find(|due| due.tenant_id == *pair.acme.id()).unwrap();
    let none = Limits::default();
    let jobs: Vec<_> = (0..8).map(|_| pair.acme.job()).collect();
    let fire = jobs.iter().map(|job| opened.schedules.schedule_fire(due_acme, (job, &none), next, now()));
    let fired: Vec<_> = join_all(fire).await.into_iter().map(Result::unwrap).collect();
    let winner = fired.iter().position(|fired| *fired == Firing::Fired).unwrap();
    assert_eq!(fired.iter().filter(|fired| **fired == Firing::Fired).count(), 1);
    assert_eq!(pair.acme.outbox(opened).await, [jobs[winner].id()]);
    assert!(!opened.schedules.schedule_skip(due_acme, next, WHY).await.unwrap());

    let kb = &pair.acme.kb.id;
    let schedules = pair.acme.stores.catalog().schedules(kb).await.unwrap();
    assert_eq!((schedules[0].next_fire_at, schedules[0].last_fire_at), (next, Some(pair.now)));
    let twin = pair.twin.stores.catalog().schedules(kb).await.unwrap();
    assert_eq!((twin[0].next_fire_at, twin[0].last_fire_at), (pair.now, None));

    // A job of another tenant is rejected, and the schedule stays due.
    let due_twin = found.iter().find(|due| due.tenant_id == *pair.twin.id()).unwrap();
    let foreign = opened.schedules.schedule_fire(due_twin, (&pair.acme.job(), &none), next, now()).await;
    assert!(!foreign.unwrap_err().is_transient());
    assert_eq!(pair.twin.outbox(opened).await, []);
    assert_eq!(due(opened, &pair, pair.now).await.len(), 1);
}

pub(super) async fn skipped(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let next = pair.now + TimeDelta::days(1);
    let nightly = schedule(&pair.acme, "nightly", pair.now);
    pair.acme.stores.catalog().schedule_put(&nightly, &Limits::default()).await.unwrap();
    let found = due(opened, &pair, pair.now).await;
    assert!(opened.schedules.schedule_skip(&found[0], next, WHY).await.unwrap());
    assert!(!opened.schedules.schedule_skip(&found[0], next, ("late", "too late")).await.unwrap());
    let late =
        opened.schedules.schedule_fire(&found[0], (&pair.acme.job(), &Limits::default()), next, now()).await;
    assert_eq!(late.unwrap(), Firing::NotDue);
    let schedules = pair.acme.stores.catalog().schedules(&pair.acme.kb.id).await.unwrap();
    assert_eq!((schedules[0].next_fire_at, schedules[0].last_fire_at), (next, None));
    let skipped = Skipped { at: pair.now, code: WHY.0.into(), detail: WHY.1.into() };
    assert_eq!(schedules[0].skipped, Some(skipped));
    assert_eq!(pair.acme.outbox(opened).await, []);
    assert!(due(opened, &pair, pair.now).await.is_empty());

    // It fires again, and nothing is left of it.
    let found = due(opened, &pair, next).await;
    let later = next + TimeDelta::days(1);
    let (job, limits) = (pair.acme.job(), Limits::default());
    let fired = opened.schedules.schedule_fire(&found[0], (&job, &limits), later, next).await;
    assert_eq!(fired.unwrap(), Firing::Fired);
    let schedules = pair.acme.stores.catalog().schedules(&pair.acme.kb.id).await.unwrap();
    assert_eq!((&schedules[0].skipped, schedules[0].last_fire_at), (&None, Some(next)));
}

/// Another person takes a schedule over, whatever it says besides; not one that a third person took meanwhile, nor
/// that of another tenant.
pub(super) async fn taken_over(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    for party in [&pair.acme, &pair.twin] {
        let nightly = schedule(party, "nightly", pair.now);
        party.stores.catalog().schedule_put(&nightly, &Limits::default()).await.unwrap();
    }
    let found = due(opened, &pair, pair.now).await;
    for due in &found {
        assert!(opened.schedules.schedule_skip(due, pair.now, WHY).await.unwrap());
    }
    let kb = &pair.acme.kb.id;
    let seen = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
    let template = pair.acme.job();
    assert!(catalog.schedule_take_over(&seen, &template, "user:zoe").await.unwrap());
    assert!(!catalog.schedule_take_over(&seen, &pair.acme.job(), "user:max").await.unwrap());
    let foreign = twin.schedule_take_over(&seen, &template, "user:zoe").await;
    assert!(!foreign.unwrap_err().is_transient());
    let taken = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
    assert_eq!(taken, Schedule { created_by: "user:zoe".into(), skipped: None, ..seen.clone() });
    let templates: Vec<_> = due(opened, &pair, pair.now).await.into_iter().map(|due| due.template).collect();
    assert!(templates.iter().any(|found| found == template.wire()), "{templates:?}");
    assert_eq!(twin.schedule(kb, "nightly").await.unwrap().unwrap(), seen);
}

pub(super) async fn paused(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let none = Limits::default();
    for party in [&pair.acme, &pair.twin] {
        let nightly = schedule(party, "nightly", pair.now);
        party.stores.catalog().schedule_put(&nightly, &none).await.unwrap();
    }
    let found = due(opened, &pair, pair.now).await;
    assert_eq!(found.len(), 2);
    assert!(catalog.schedule_pause(kb, "nightly").await.unwrap());
    assert!(catalog.schedule_pause(kb, "nightly").await.unwrap(), "once more is once");
    assert!(!catalog.schedule_pause(kb, "weekly").await.unwrap());

    // It is not due, also for a worker that saw it before; the other tenant's is.
    let still_due = due(opened, &pair, pair.now).await;
    assert_eq!(still_due.iter().map(|due| &due.tenant_id).collect::<Vec<_>>(), [pair.twin.id()]);
    let mine = found.iter().find(|due| due.tenant_id == *pair.acme.id()).unwrap();
    let next = pair.now + TimeDelta::days(1);
    let late = opened.schedules.schedule_fire(mine, (&pair.acme.job(), &none), next, now()).await;
    assert_eq!(late.unwrap(), Firing::NotDue);
    assert!(!opened.schedules.schedule_skip(mine, next, WHY).await.unwrap());
    let seen = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
    assert!(seen.paused);
    assert_eq!((seen.next_fire_at, seen.last_fire_at), (pair.now, None));

    // Replaced, it stays paused, and is no longer as it was seen.
    let mut changed = schedule(&pair.acme, "nightly", pair.now);
    changed.cron = "0 4 * * *".into();
    catalog.schedule_put(&changed, &none).await.unwrap();
    assert!(!catalog.schedule_resume(&seen, next).await.unwrap());
    let seen = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
    assert!(seen.paused && seen.cron == "0 4 * * *");
    assert!(!pair.twin.stores.catalog().schedule_resume(&seen, next).await.unwrap(), "theirs is not paused");
    assert!(catalog.schedule_resume(&seen, next).await.unwrap());
    assert!(!catalog.schedule_resume(&seen, pair.now).await.unwrap(), "it is not paused any more");
    let resumed = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
    assert_eq!((resumed.paused, resumed.next_fire_at), (false, next));

    for (at, expected) in [(next, next), (pair.now, next)] {
        catalog.schedule_fired(kb, "nightly", at).await.unwrap();
        let fired = catalog.schedule(kb, "nightly").await.unwrap().unwrap();
        assert_eq!((fired.last_fire_at, fired.next_fire_at), (Some(expected), next));
    }
    let twin = pair.twin.stores.catalog().schedule(kb, "nightly").await.unwrap().unwrap();
    assert_eq!((twin.paused, twin.next_fire_at, twin.last_fire_at), (false, pair.now, None));
}
