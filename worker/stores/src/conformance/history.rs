use chrono::TimeDelta;
use jobs::tenant::KbId;
use jobs::{BatchId, JobId};

use super::fixture::{Pair, now};
use crate::Opened;
use crate::catalog::history::makes_room;
use crate::model::{JobRecord, Redrives};

/// A job that took a second and ended some time ago.
fn ended(ago: TimeDelta) -> JobRecord {
    let finished_at = now() - ago;
    let started_at = finished_at - TimeDelta::seconds(1);
    JobRecord {
        parent: None,
        batch: None,
        trace_id: None,
        id: JobId::generate(started_at),
        kind: "document.ingest".into(),
        kb: None,
        queue: "documents".into(),
        state: "completed".into(),
        attempts: 1,
        error: None,
        created_at: started_at,
        started_at: Some(started_at),
        finished_at,
    }
}

pub(super) async fn first_record_stays(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let done = ended(TimeDelta::zero());
    let error = Some(("parse_failed".to_owned(), "not UTF-8".to_owned()));
    let (kb, batch) = (Some(KbId::first()), Some(BatchId::generate(now(), [1; 10])));
    let failed =
        JobRecord { kb, batch, state: "discarded".into(), attempts: 8, error, ..ended(TimeDelta::zero()) };
    let waited =
        JobRecord { state: "cancelled".into(), attempts: 0, started_at: None, ..ended(TimeDelta::zero()) };
    catalog.history_insert(&[done.clone(), failed.clone(), waited.clone()]).await.unwrap();
    let changed = JobRecord { state: "cancelled".into(), ..done.clone() };
    catalog.history_insert(&[changed]).await.unwrap();
    catalog.history_insert(&[]).await.unwrap();
    assert_eq!(catalog.history(done.id).await.unwrap(), Some(done.clone()));
    assert_eq!(catalog.history(failed.id).await.unwrap(), Some(failed));
    assert_eq!(catalog.history(waited.id).await.unwrap(), Some(waited));
    assert_eq!(catalog.history(JobId::generate(now())).await.unwrap(), None);
    assert_eq!(pair.twin.stores.catalog().history(done.id).await.unwrap(), None);
}

/// Records of several tenants in one call are each tenant's own.
pub(super) async fn several_tenants(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let record = || [ended(TimeDelta::seconds(1)), ended(TimeDelta::zero())];
    let (acmes, twins, more) = (record(), record(), record());
    let (acme, twin) = (&pair.acme, &pair.twin);
    let records = [(&twin.context, &twins[..]), (&acme.context, &acmes[..]), (&twin.context, &more[..])];
    opened.stores.histories_insert(records).await.unwrap();
    opened.stores.histories_insert([]).await.unwrap();
    for (records, own, other) in [(&acmes, acme, twin), (&twins, twin, acme), (&more, twin, acme)] {
        for record in records {
            assert_eq!(own.stores.catalog().history(record.id).await.unwrap().as_ref(), Some(record));
            assert_eq!(other.stores.catalog().history(record.id).await.unwrap(), None);
        }
    }
}

pub(super) async fn old_records_go(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let (old, recent) = (ended(TimeDelta::days(31)), ended(TimeDelta::days(29)));
    catalog.history_insert(&[old.clone(), recent.clone()]).await.unwrap();
    let next = std::iter::repeat_with(|| ended(TimeDelta::zero())).find(|record| makes_room(record.id));
    catalog.history_insert(&[next.unwrap()]).await.unwrap();
    assert_eq!(catalog.history(old.id).await.unwrap(), None);
    assert_eq!(catalog.history(recent.id).await.unwrap(), Some(recent));
}

pub(super) async fn what_was_started_again_ends_again(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let error = Some(("out_of_order".to_owned(), "told to".to_owned()));
    let dead = JobRecord { state: "discarded".into(), error, ..ended(TimeDelta::seconds(10)) };
    catalog.history_insert(std::slice::from_ref(&dead)).await.unwrap();
    let again = JobRecord { id: dead.id, created_at: dead.created_at, ..ended(TimeDelta::zero()) };
    for _ in 0..2 {
        catalog.history_insert(std::slice::from_ref(&again)).await.unwrap();
        assert_eq!(catalog.history(dead.id).await.unwrap(), Some(again.clone()));
    }
    let late = JobRecord { state: "discarded".into(), ..again.clone() };
    catalog.history_insert(&[late]).await.unwrap();
    assert_eq!(catalog.history(dead.id).await.unwrap(), Some(again));

    assert_eq!(catalog.job_redrives(dead.id).await.unwrap(), None);
    for (times, by) in [(1, "user:ann"), (2, "operator")] {
        let last_at = now();
        catalog.job_redriven(&[dead.id], by, last_at).await.unwrap();
        let expected = Redrives { times, last_at, last_by: by.to_owned() };
        assert_eq!(catalog.job_redrives(dead.id).await.unwrap(), Some(expected));
    }
    assert_eq!(twin.job_redrives(dead.id).await.unwrap(), None);
    let later = now() + TimeDelta::days(31);
    catalog.job_redriven(&[JobId::generate(later)], "operator", later).await.unwrap();
    assert_eq!(catalog.job_redrives(dead.id).await.unwrap(), None, "it was long ago");
}

/// What a job enqueued is found by it, in its own tenant.
pub(super) async fn children(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let parent = ended(TimeDelta::seconds(10));
    let of = |ago| JobRecord {
        parent: Some(parent.id),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        ..ended(TimeDelta::seconds(ago))
    };
    let children = [of(5), of(4), of(3)];
    acme.history_insert(&children).await.unwrap();
    acme.history_insert(std::slice::from_ref(&parent)).await.unwrap();
    assert_eq!(acme.history_children(parent.id, 10).await.unwrap(), children);
    assert_eq!(acme.history_children(parent.id, 2).await.unwrap(), children[..2]);
    assert_eq!(acme.history_children(children[0].id, 10).await.unwrap(), []);
    assert_eq!(twin.history_children(parent.id, 10).await.unwrap(), []);
}
