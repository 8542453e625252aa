use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;

use super::fixture::{Pair, Party};
use crate::Opened;
use crate::OutboxRow;
use crate::model::{Acceptance, ApiCalls, Bookkeeping};

/// Puts a job into the tenant's outbox at `now`.
async fn put(party: &Party, now: DateTime<Utc>) -> OutboxRow {
    let job = party.job();
    let (tenant_id, wire) = (party.id().clone(), job.wire().to_owned());
    let row = OutboxRow { tenant_id, job_id: job.id(), wire, accepted_at: now };
    let acceptance = Acceptance { jobs: vec![job], ..Acceptance::default() };
    party.stores.catalog().accept(&acceptance, now).await.unwrap();
    row
}

pub(super) async fn due_by_age(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let age = Duration::from_secs(5);
    let second = |n| pair.now + TimeDelta::seconds(n);
    let third = put(&pair.acme, second(2)).await;
    let first = put(&pair.acme, second(0)).await;
    let second_row = put(&pair.twin, second(1)).await;

    let due_after = async |after, now| {
        let rows = opened.outbox.outbox_due(now, age, after, 10_000).await.unwrap();
        let ours = [pair.acme.id(), pair.twin.id()];
        rows.into_iter().filter(|row| ours.contains(&&row.tenant_id)).collect::<Vec<_>>()
    };
    let due = async |now| due_after(None, now).await;
    assert_eq!(due(second(4)).await, []);
    assert_eq!(due(second(5)).await, std::slice::from_ref(&first));
    assert_eq!(due(second(9)).await, [first.clone(), second_row.clone(), third.clone()]);
    assert_eq!(opened.outbox.outbox_due(second(9), age, None, 1).await.unwrap().len(), 1);
    assert_eq!(due_after(Some(&first), second(9)).await, [second_row.clone(), third.clone()]);
    // A place is one also when its row has gone.
    opened.outbox.outbox_done(std::slice::from_ref(&second_row), pair.now).await.unwrap();
    assert_eq!(due_after(Some(&second_row), second(9)).await, [third]);
}

pub(super) async fn taken_out(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let row = put(&pair.acme, pair.now).await;
    let other = put(&pair.acme, pair.now).await;
    let twin = put(&pair.twin, pair.now).await;
    for _ in 0..2 {
        opened.outbox.outbox_done(std::slice::from_ref(&row), pair.now).await.unwrap();
        assert_eq!(pair.acme.outbox(opened).await, [other.job_id]);
    }
    let catalog = pair.acme.stores.catalog();
    let third = put(&pair.acme, pair.now).await;
    catalog.outbox_delete(&[other.job_id, JobId::generate(pair.now)]).await.unwrap();
    catalog.outbox_delete(&[]).await.unwrap();
    assert_eq!(pair.acme.outbox(opened).await, [third.job_id]);
    let delivered = vec![third.job_id, twin.job_id, JobId::generate(pair.now)];
    let left = Bookkeeping { at: pair.now, calls: 2, keys_used: Vec::new(), delivered };
    assert_eq!(catalog.bookkeep(&left).await.unwrap(), Some(ApiCalls { day: 2, month: 2 }));
    assert_eq!(pair.acme.outbox(opened).await, []);
    assert_eq!(pair.twin.outbox(opened).await, [twin.job_id]);
}

pub(super) async fn rejected(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let row = put(&pair.acme, pair.now).await;
    let other = put(&pair.acme, pair.now).await;
    for _ in 0..2 {
        opened.outbox.outbox_reject(&row, "the stamp is signed by an unknown key", pair.now).await.unwrap();
        assert_eq!(pair.acme.outbox(opened).await, [other.job_id]);
    }
}

pub(super) async fn another_tenants_job_stays(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let row = put(&pair.acme, pair.now).await;
    pair.twin.stores.catalog().outbox_delete(&[row.job_id]).await.unwrap();
    assert_eq!(pair.acme.outbox(opened).await, [row.job_id]);
    let moved = OutboxRow { tenant_id: pair.twin.id().clone(), ..row.clone() };
    opened.outbox.outbox_done(&[moved], pair.now).await.unwrap();
    assert_eq!(pair.acme.outbox(opened).await, [row.job_id]);
}
