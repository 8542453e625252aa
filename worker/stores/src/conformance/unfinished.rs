use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;

use super::fixture::{Pair, Party, upload};
use crate::Opened;
use crate::model::{Acceptance, Bookkeeping, DocumentCounts, DocumentFault, JobRecord, UnfinishedKey};

/// Accepts a job, and notes that the queue has it.
async fn delivered(party: &Party, job: StampedJob, now: DateTime<Utc>) -> JobId {
    let id = job.id();
    let acceptance = Acceptance { jobs: vec![job], ..Acceptance::default() };
    party.stores.catalog().accept(&acceptance, now).await.unwrap();
    bookkeep(party, id, now).await;
    id
}

async fn bookkeep(party: &Party, job: JobId, now: DateTime<Utc>) {
    let left = Bookkeeping { at: now, calls: 0, keys_used: Vec::new(), delivered: vec![job] };
    party.stores.catalog().bookkeep(&left).await.unwrap();
}

fn ended(id: JobId, parent: Option<JobId>, now: DateTime<Utc>) -> JobRecord {
    JobRecord {
        id,
        kind: "document.ingest".into(),
        kb: None,
        parent,
        batch: None,
        trace_id: None,
        queue: "documents".into(),
        state: "completed".into(),
        attempts: 1,
        error: None,
        created_at: now,
        started_at: Some(now),
        finished_at: now,
    }
}

async fn left(party: &Party) -> Vec<JobId> {
    party.stores.catalog().unfinished(100).await.unwrap()
}

/// A document that waits for a job, and the job, which the queue has.
async fn waiting(party: &Party, name: &str, now: DateTime<Utc>) -> (crate::model::NewDocument, JobId) {
    let job = party.job();
    let document = crate::model::NewDocument { job_id: job.id(), ..upload(name, 1, now) };
    party.register(vec![document.clone()], now).await;
    let id = delivered(party, job, now).await;
    (document, id)
}

pub(super) async fn until_it_has_ended(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (party, now) = (&pair.acme, pair.now);
    let (first, second) =
        (delivered(party, party.job(), now).await, delivered(party, party.job(), now).await);
    assert_eq!(left(party).await, {
        let mut both = vec![first, second];
        both.sort();
        both
    });
    let catalog = party.stores.catalog();
    catalog.history_insert(&[ended(first, None, now)]).await.unwrap();
    assert_eq!(left(party).await, [second]);
    // What ended before the outbox knew that it was delivered is not expected.
    let third = party.job();
    let id = third.id();
    catalog.history_insert(&[ended(id, None, now)]).await.unwrap();
    delivered(party, third, now).await;
    assert_eq!(left(party).await, [second]);
    // A relay does not know how jobs ended; another look finds out.
    let relayed = party.job();
    let acceptance = Acceptance { jobs: vec![relayed.clone()], ..Acceptance::default() };
    catalog.accept(&acceptance, now).await.unwrap();
    let (tenant_id, job_id) = (party.id().clone(), relayed.id());
    let row = crate::OutboxRow { tenant_id, job_id, wire: relayed.wire().to_owned(), accepted_at: now };
    opened.outbox.outbox_done(&[row], now).await.unwrap();
    assert!(left(party).await.contains(&job_id));
    assert_eq!(left(&pair.twin).await, []);
    catalog.cancel_everything(&fault(), now).await.unwrap();
    assert_eq!(left(party).await, []);
}

fn fault() -> DocumentFault {
    DocumentFault { code: "cancelled".into(), detail: "a test".into() }
}

/// The children of a document's job have no rows: theirs is that of the job, as long as the document waits.
pub(super) async fn as_long_as_a_document_waits(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (party, now) = (&pair.acme, pair.now);
    let (catalog, kb) = (party.stores.catalog(), &party.kb.id);
    let (document, job) = waiting(party, "a.md", now).await;
    let state = async || opened.unfinished.state(party.id(), &[job]).await.unwrap();
    assert!(state().await[0].is_waited_for && !state().await[0].has_ended);
    catalog.document_processing(kb, &document.id, 1, (job, 2), now).await.unwrap();
    catalog.history_insert(&[ended(job, None, now)]).await.unwrap();
    assert_eq!(left(party).await, [job]);
    assert!(state().await[0].is_waited_for && state().await[0].has_ended);
    let child = JobId::generate(now);
    catalog.history_insert(&[ended(child, Some(job), now)]).await.unwrap();
    assert_eq!(left(party).await, [job], "another child is to come");
    catalog.document_processed(kb, &document.id, 1, DocumentCounts::default(), now).await.unwrap();
    let last = JobId::generate(now);
    catalog.history_insert(&[ended(last, Some(job), now)]).await.unwrap();
    assert_eq!(left(party).await, []);

    let (_, job) = waiting(party, "b.md", now).await;
    opened.unfinished.give_up(party.id(), job, &fault(), now).await.unwrap();
    assert_eq!(left(party).await, []);
    let failed = catalog.document(kb, &jobs::DocumentId::of_name("b.md")).await.unwrap().unwrap();
    assert_eq!(failed.fault, Some(fault()));
}

pub(super) async fn taken_by_one(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (party, now) = (&pair.acme, pair.now);
    let (job, twins) =
        (delivered(party, party.job(), now).await, delivered(&pair.twin, pair.twin.job(), now).await);
    let known = opened.unfinished.state(party.id(), &[job, twins]).await.unwrap();
    assert_eq!(known.iter().map(|known| known.id).collect::<Vec<_>>(), [job], "no other tenant's");
    let later = now + TimeDelta::minutes(1);
    let takes = [&known[0], &known[0]]
        .map(|job| async move { opened.unfinished.take(party.id(), &[(job, later)], now).await.unwrap() });
    let [one, two] = takes;
    let (one, two) = tokio::join!(one, two);
    assert_eq!([one, two].concat(), [job]);
    let missing = || async { opened.measures.missing().await.unwrap() };
    assert!(missing().await.rows >= 1);
    let ours = async |before| {
        let page = opened.unfinished.page(before, None, 10_000).await.unwrap();
        page.into_iter().filter(|key| key.tenant_id == *party.id()).collect::<Vec<_>>()
    };
    assert_eq!(ours(now).await, [], "it is left alone");
    let key = UnfinishedKey { tenant_id: party.id().clone(), job_id: job, is_missing: true };
    assert_eq!(ours(later).await, std::slice::from_ref(&key));
    opened.unfinished.found(party.id(), &[job]).await.unwrap();
    assert!(!ours(later).await[0].is_missing);
    let after = opened.unfinished.page(later, Some(&key), 10_000).await.unwrap();
    assert!(after.iter().all(|after| after.tenant_id > *party.id() || after.job_id > job));
    // It ended before it was taken.
    let known = opened.unfinished.state(party.id(), &[job]).await.unwrap();
    let catalog = party.stores.catalog();
    catalog.unfinished_put(&[(twins, "wire")], now).await.unwrap();
    catalog.history_insert(&[ended(job, None, now)]).await.unwrap();
    assert_eq!(opened.unfinished.take(party.id(), &[(&known[0], later)], now).await.unwrap(), []);
    assert_eq!(left(party).await, [twins]);
    opened.unfinished.missing(party.id(), &[twins], now).await.unwrap();
    opened.unfinished.forget(party.id(), &[twins]).await.unwrap();
    assert_eq!((left(party).await, left(&pair.twin).await), (vec![], vec![twins]));
}
