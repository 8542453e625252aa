use jobs::tenant::KbId;
use jobs::{BatchId, JobId};

use super::fixture::{Pair, Party, upload};
use crate::Opened;
use crate::model::{
    Acceptance, Accepted, Batch, BatchCounts, DocumentCounts, DocumentFault, DocumentStatus, NewDocument,
};

fn fault(code: &str) -> DocumentFault {
    DocumentFault { code: code.to_owned(), detail: "a test".to_owned() }
}

async fn register(
    party: &Party,
    kb: &KbId,
    batch: BatchId,
    documents: Vec<NewDocument>,
    now: chrono::DateTime<chrono::Utc>,
) -> Accepted {
    let documents = Some((kb.clone(), documents));
    let acceptance = Acceptance { documents, batch: Some(batch), ..Acceptance::default() };
    party.stores.catalog().accept(&acceptance, now).await.unwrap()
}

async fn counts(party: &Party, batch: BatchId, only: Option<&KbId>) -> Option<BatchCounts> {
    party.stores.catalog().batch(batch, only).await.unwrap().map(|batch| batch.counts)
}

/// That there is a batch is known without counting, within reach, and in its own tenant.
async fn is_known(pair: &Pair, (known, unknown): (BatchId, BatchId), kb: &KbId) {
    let (acme, nowhere) = (pair.acme.stores.catalog(), "nowhere".parse().unwrap());
    for (batch, only, is_there) in
        [(known, None, true), (known, Some(kb), true), (known, Some(&nowhere), false), (unknown, None, false)]
    {
        assert_eq!(acme.has_batch(batch, only).await.unwrap(), is_there, "{batch} in {only:?}");
    }
    let archive = "archive".parse().unwrap();
    assert!(!pair.twin.stores.catalog().has_batch(known, Some(&archive)).await.unwrap(), "of another tenant");
}

pub(super) async fn counted_and_kept_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let [first, second, other] = [1, 2, 3].map(|random| BatchId::generate(now, [random; 10]));
    let names = ["a.md", "b.md", "c.md", "d.md"];
    let uploads: Vec<_> = names.iter().map(|name| upload(name, 1, now)).collect();
    let ids: Vec<_> = uploads.iter().map(|upload| upload.id.clone()).collect();
    assert_eq!(register(&pair.acme, kb, first, uploads, now).await, Accepted::New);
    let archive = pair.acme.kb_new("archive").await;
    assert_eq!(
        register(&pair.acme, &archive.id, first, vec![upload("a.md", 1, now)], now).await,
        Accepted::New
    );
    assert_eq!(register(&pair.twin, kb, first, vec![upload("a.md", 1, now)], now).await, Accepted::New);
    let document = catalog.document(kb, &ids[0]).await.unwrap().unwrap();
    assert_eq!(document.batch, Some(first));

    let work = (JobId::generate(now), 3);
    assert!(catalog.document_processing(kb, &ids[0], 1, work, now).await.unwrap());
    assert!(catalog.document_processed(kb, &ids[1], 1, DocumentCounts::default(), now).await.unwrap());
    assert!(catalog.document_failed(kb, &ids[2], 1, &fault("too_complex"), now).await.unwrap());
    let mut expected =
        BatchCounts { pending: 1, processing: 1, processed: 1, failed: 1, ..BatchCounts::default() };
    assert_eq!(counts(&pair.acme, first, Some(kb)).await, Some(expected));
    let of_both = BatchCounts { pending: 2, ..expected };
    assert_eq!(counts(&pair.acme, first, None).await, Some(of_both));
    let one = BatchCounts { pending: 1, ..BatchCounts::default() };
    assert_eq!(counts(&pair.twin, first, None).await, Some(one), "another tenant's, with the same id");
    assert_eq!(counts(&pair.acme, other, None).await, None);
    assert_eq!(counts(&pair.acme, first, Some(&"nowhere".parse().unwrap())).await, None);
    is_known(&pair, (first, other), kb).await;
    let failures = catalog.batch_failures(first, None, 10).await.unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].name.as_str(), failures[0].code.as_str()), ("c.md", "too_complex"));
    let pace = catalog.batch_pace(first, Some(kb), now).await.unwrap();
    assert_eq!((pace.ended, pace.first_end), (2, Some(now)));
    let waiting = catalog.document(kb, &ids[3]).await.unwrap().unwrap().job_id;
    assert_eq!(pace.waiting, Some(waiting));

    // What is uploaded again belongs to the later batch, and the earlier one says so; so it is with what is deleted.
    assert_eq!(register(&pair.acme, kb, second, vec![upload("d.md", 2, now)], now).await, Accepted::New);
    let lifecycle = pair.acme.stores.lifecycle();
    assert_eq!(lifecycle.document_deletion_begin(kb, &ids[1], 1, now).await.unwrap(), Some(2));
    expected = BatchCounts { pending: 0, processed: 0, replaced: 1, deleted: 1, ..expected };
    assert_eq!(counts(&pair.acme, first, Some(kb)).await, Some(expected), "while it is being deleted");
    assert!(lifecycle.document_delete(kb, &ids[1], 2).await.unwrap());
    assert_eq!(counts(&pair.acme, first, Some(kb)).await, Some(expected), "and afterwards");
    assert_eq!(counts(&pair.acme, second, None).await, Some(one));

    let page = catalog.batches(None, None, 1).await.unwrap();
    let listed = |items: &[Batch]| items.iter().map(|batch| batch.id).collect::<Vec<_>>();
    assert_eq!(
        (listed(&page.items), page.next.as_deref()),
        (vec![second], Some(second.to_string().as_str()))
    );
    let page = catalog.batches(Some(second), None, 1).await.unwrap();
    assert_eq!((listed(&page.items), page.next), (vec![first], None));
    assert_eq!(listed(&catalog.batches(None, Some(&archive.id), 9).await.unwrap().items), [first]);
    assert_eq!(listed(&pair.twin.stores.catalog().batches(None, None, 9).await.unwrap().items), [first]);
}

pub(super) async fn cancelled(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let batch = BatchId::generate(now, [9; 10]);
    let uploads: Vec<_> = ["a.md", "b.md", "c.md"].iter().map(|name| upload(name, 1, now)).collect();
    let (ids, jobs): (Vec<_>, Vec<_>) =
        uploads.iter().map(|upload| (upload.id.clone(), upload.job_id)).unzip();
    assert_eq!(register(&pair.acme, kb, batch, uploads.clone(), now).await, Accepted::New);
    assert_eq!(register(&pair.twin, kb, batch, uploads, now).await, Accepted::New);
    assert!(catalog.document_processed(kb, &ids[0], 1, DocumentCounts::default(), now).await.unwrap());
    let gone = catalog.batch_cancel(BatchId::generate(now, [8; 10]), None, &fault("cancelled"), now).await;
    assert_eq!(gone.unwrap(), None, "no such batch");
    let elsewhere = "nowhere".parse().unwrap();
    let gone = catalog.batch_cancel(batch, Some(&elsewhere), &fault("cancelled"), now).await;
    assert_eq!(gone.unwrap(), None, "beyond the reach");

    let mut cancelled = catalog.batch_cancel(batch, None, &fault("cancelled"), now).await.unwrap().unwrap();
    cancelled.sort();
    let mut expected = jobs[1..].to_vec();
    expected.sort();
    assert_eq!(cancelled, expected);
    let ended = BatchCounts { processed: 1, failed: 2, ..BatchCounts::default() };
    let found = catalog.batch(batch, None).await.unwrap().unwrap();
    assert_eq!((found.counts, found.cancelled_at), (ended, Some(now)));
    // What still works on a document has an outdated revision.
    assert!(!catalog.document_processing(kb, &ids[1], 1, (jobs[1], 1), now).await.unwrap());
    assert_eq!(catalog.document(kb, &ids[1]).await.unwrap().unwrap().status, DocumentStatus::Failed);
    assert_eq!(
        catalog.batch_cancel(batch, None, &fault("cancelled"), now).await.unwrap(),
        Some(vec![]),
        "again"
    );

    // Nothing more comes into it; the document itself may come again.
    let late = register(&pair.acme, kb, batch, vec![upload("late.md", 1, now)], now).await;
    assert_eq!(late, Accepted::RevisionMoved);
    let next = BatchId::generate(now, [7; 10]);
    assert_eq!(register(&pair.acme, kb, next, vec![upload("b.md", 3, now)], now).await, Accepted::New);
    let twin = BatchCounts { pending: 3, ..BatchCounts::default() };
    assert_eq!(counts(&pair.twin, batch, None).await, Some(twin));
    assert_eq!(register(&pair.twin, kb, batch, vec![upload("late.md", 1, now)], now).await, Accepted::New);
}
