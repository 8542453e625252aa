use jobs::{DocumentId, JobId};

use super::fixture::{Pair, upload};
use crate::Opened;
use crate::model::{
    ChunkFault, DocumentCounts, DocumentFault, DocumentSelection, DocumentStatus, FailedChunk, Losses, Served,
};

const COUNTS: DocumentCounts = DocumentCounts { chunks: 7, entities: 5, relations: 3 };

pub(super) async fn states(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    pair.acme.register(vec![upload("a.md", 1, pair.now)], pair.now).await;
    pair.twin.register(vec![upload("a.md", 1, pair.now)], pair.now).await;
    let read = async || catalog.document(kb, &id).await.unwrap().unwrap();
    let at = |seconds| pair.now + chrono::TimeDelta::seconds(seconds);

    let ingest = JobId::generate(at(1));
    assert!(catalog.document_processing(kb, &id, 1, (ingest, 4), at(1)).await.unwrap());
    let document = read().await;
    assert_eq!(document.job_id, ingest);
    assert_eq!((document.status, document.staged_chunks), (DocumentStatus::Processing, 4));
    assert_eq!((document.served, document.counts), (None, DocumentCounts::default()));
    assert_eq!((document.created_at, document.updated_at), (pair.now, at(1)));

    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    assert!(catalog.document_failed(kb, &id, 1, &fault, at(2)).await.unwrap());
    let document = read().await;
    assert_eq!((document.status, document.fault), (DocumentStatus::Failed, Some(fault)));

    let job = JobId::generate(at(3));
    assert!(catalog.document_pending(kb, &id, 1, job, at(3)).await.unwrap());
    let document = read().await;
    assert_eq!((document.status, document.fault), (DocumentStatus::Pending, None));
    assert_eq!((document.revision, document.job_id), (1, job));

    assert!(catalog.document_processed(kb, &id, 1, COUNTS, at(4)).await.unwrap());
    assert!(catalog.document_processed(kb, &id, 1, COUNTS, at(4)).await.unwrap());
    let document = read().await;
    assert_eq!((document.status, document.counts), (DocumentStatus::Processed, COUNTS));
    assert_eq!(document.served, Some(1));

    let twin = pair.twin.stores.catalog().document(&pair.twin.kb.id, &id).await.unwrap().unwrap();
    assert_eq!((twin.status, twin.updated_at), (DocumentStatus::Pending, pair.now));
}

pub(super) async fn stale_revisions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    pair.acme.register(vec![upload("a.md", 1, now)], now).await;
    pair.acme.register(vec![upload("a.md", 2, now)], now).await;
    let known = DocumentId::of_name("a.md");
    let before = catalog.document(kb, &known).await.unwrap().unwrap();
    let later = now + chrono::TimeDelta::seconds(1);
    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    for (id, revision) in [(&known, 1), (&known, 3), (&DocumentId::of_name("b.md"), 1)] {
        assert!(
            !catalog.document_processing(kb, id, revision, (JobId::generate(later), 1), later).await.unwrap()
        );
        assert!(!catalog.document_processed(kb, id, revision, COUNTS, later).await.unwrap());
        assert!(!catalog.document_failed(kb, id, revision, &fault, later).await.unwrap());
        assert!(!catalog.document_pending(kb, id, revision, JobId::generate(now), later).await.unwrap());
    }
    assert_eq!(catalog.document(kb, &known).await.unwrap(), Some(before));

    // Nor does a call of another tenant reach it.
    let twin = pair.twin.stores.catalog();
    assert!(!twin.document_processed(kb, &known, 2, COUNTS, later).await.unwrap());
}

pub(super) async fn pages(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let uploads: Vec<_> = (0..23).map(|n| upload(&format!("{n}.md"), 1, pair.now)).collect();
    let mut ids: Vec<_> = uploads.iter().map(|upload| upload.id.clone()).collect();
    ids.sort();
    pair.acme.register(uploads, pair.now).await;
    for id in ids.iter().step_by(2) {
        catalog.document_processed(kb, id, 1, COUNTS, pair.now).await.unwrap();
    }

    let walk = async |status, limit| {
        let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), None::<DocumentId>);
        loop {
            let page = catalog.documents(kb, status, after.as_ref(), limit).await.unwrap();
            sizes.push(page.items.len());
            seen.extend(page.items.into_iter().map(|document| document.id));
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => return (seen, sizes),
            }
        }
    };
    assert_eq!(walk(None, 10).await, (ids.clone(), vec![10, 10, 3]));
    assert_eq!(walk(None, 23).await, (ids.clone(), vec![23]));
    let processed: Vec<_> = ids.iter().step_by(2).cloned().collect();
    assert_eq!(walk(Some(DocumentStatus::Processed), 5).await, (processed, vec![5, 5, 2]));
    assert_eq!(walk(Some(DocumentStatus::Failed), 5).await, (vec![], vec![0]));

    let twin = pair.twin.stores.catalog().documents(kb, None, None, 1_000).await.unwrap();
    assert_eq!((twin.items, twin.next), (vec![], None));
    let archive = pair.acme.kb_new("archive").await;
    assert_eq!(catalog.documents(&archive.id, None, None, 1_000).await.unwrap().items, []);
}

pub(super) async fn partial(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let uploads: Vec<_> = ["a.md", "b.md"].map(|name| upload(name, 1, now)).into();
    pair.acme.register(uploads.clone(), now).await;
    pair.twin.register(uploads, now).await;
    let [a, b] = ["a.md", "b.md"].map(DocumentId::of_name);
    let fault = |code: &str, retryable| ChunkFault { code: code.into(), detail: "why".into(), retryable };
    let chunk = |chunk| FailedChunk { chunk, fault: fault("content_filtered", chunk % 2 == 0) };
    let losses = |chunks: u32| Losses {
        chunks_failed: chunks,
        chunks: (0..chunks).map(chunk).collect(),
        records_dropped: 3,
    };
    let shown = |losses: &Losses| Losses {
        chunks: losses.chunks.iter().take(Losses::LISTED).cloned().collect(),
        ..losses.clone()
    };
    let read = async |id| catalog.document(kb, id).await.unwrap().unwrap();
    let of_status = async |status| {
        let page = catalog.documents(kb, Some(status), None, 10).await.unwrap();
        page.items.into_iter().map(|document| document.id).collect::<Vec<_>>()
    };

    for missing in [losses(2), losses(101)] {
        assert!(catalog.document_built(kb, &a, 1, (COUNTS, &missing), now).await.unwrap());
        let document = read(&a).await;
        assert_eq!((document.status, document.counts), (DocumentStatus::Partial, COUNTS));
        assert_eq!((document.fault, document.losses), (None, shown(&missing)));
    }
    assert!(catalog.document_built(kb, &b, 1, (COUNTS, &losses(0)), now).await.unwrap());
    let document = read(&b).await;
    assert_eq!((document.status, document.losses), (DocumentStatus::Processed, losses(0)));
    assert_eq!(of_status(DocumentStatus::Partial).await, *std::slice::from_ref(&a));
    assert_eq!(of_status(DocumentStatus::Processed).await, *std::slice::from_ref(&b));
    assert_eq!(catalog.document_totals(kb).await.unwrap(), [0, 0, 1, 1, 0]);
    for (status, ids) in [(DocumentStatus::Partial, [&a]), (DocumentStatus::Processed, [&b])] {
        let list = JobId::generate(now);
        let selection = DocumentSelection::InStatus(status);
        assert_eq!(catalog.deletion_list_put(kb, list, &selection, now).await.unwrap(), 1);
        let listed = catalog.deletion_list(kb, list, 10).await.unwrap();
        assert_eq!(listed.iter().map(|(id, _)| id).collect::<Vec<_>>(), ids);
    }
}

/// On its way again it is what it does, and then whole.
pub(super) async fn whole_again(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let id = DocumentId::of_name("a.md");
    pair.acme.register(vec![upload("a.md", 1, now)], now).await;
    pair.twin.register(vec![upload("a.md", 1, now)], now).await;
    let losses = Losses { chunks_failed: 1, ..Losses::default() };
    assert!(catalog.document_built(kb, &id, 1, (COUNTS, &losses), now).await.unwrap());
    let read = async || catalog.document(kb, &id).await.unwrap().unwrap();
    let listed = async |status| catalog.documents(kb, Some(status), None, 10).await.unwrap().items.len();
    let counts = async || (listed(DocumentStatus::Partial).await, listed(DocumentStatus::Processing).await);
    assert_eq!((read().await.status, counts().await), (DocumentStatus::Partial, (1, 0)));
    let work = (JobId::generate(now), 7);
    assert!(catalog.document_processing(kb, &id, 1, work, now).await.unwrap());
    assert_eq!((read().await.status, counts().await), (DocumentStatus::Processing, (0, 1)));
    assert!(catalog.document_processed(kb, &id, 1, COUNTS, now).await.unwrap());
    let document = read().await;
    assert_eq!((document.status, document.losses), (DocumentStatus::Processed, Losses::default()));
    let twin = pair.twin.stores.catalog().document(&pair.twin.kb.id, &id).await.unwrap().unwrap();
    assert_eq!((twin.status, twin.losses), (DocumentStatus::Pending, Losses::default()));
}

pub(super) async fn totals(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    assert_eq!(catalog.document_totals(kb).await.unwrap(), [0; 5]);
    let uploads: Vec<_> = (0..4).map(|n| upload(&format!("{n}.md"), 1, now)).collect();
    let ids: Vec<_> = uploads.iter().map(|upload| upload.id.clone()).collect();
    pair.acme.register(uploads, now).await;
    catalog.document_processing(kb, &ids[0], 1, (JobId::generate(now), 1), now).await.unwrap();
    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    catalog.document_failed(kb, &ids[1], 1, &fault, now).await.unwrap();
    assert_eq!(catalog.document_totals(kb).await.unwrap(), [2, 1, 0, 0, 1]);
    assert_eq!(pair.twin.stores.catalog().document_totals(kb).await.unwrap(), [0; 5]);
}

/// Of several jobs that ask to continue a failed document, one gets it.
pub(super) async fn reopened_by_one(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let id = DocumentId::of_name("a.md");
    for party in [&pair.acme, &pair.twin] {
        party.register(vec![upload("a.md", 1, now)], now).await;
    }
    let jobs: Vec<_> = (0..8).map(|_| JobId::generate(now)).collect();
    let reopen = |job: JobId, revision| {
        catalog.document_reopen(kb, &id, revision, (job, DocumentStatus::Processing), now)
    };
    assert!(!reopen(jobs[0], 1).await.unwrap(), "it did not fail");
    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    assert!(catalog.document_failed(kb, &id, 1, &fault, now).await.unwrap());
    assert!(!reopen(jobs[0], 2).await.unwrap(), "of another revision");
    let won = futures::future::join_all(jobs.iter().map(|job| reopen(*job, 1))).await;
    let won: Vec<_> = jobs.iter().zip(won).filter_map(|(job, won)| won.unwrap().then_some(*job)).collect();
    let [winner] = won.as_slice() else { panic!("{won:?}") };
    let document = catalog.document(kb, &id).await.unwrap().unwrap();
    assert_eq!((document.status, document.fault), (DocumentStatus::Processing, None));
    assert_eq!(document.job_id, *winner);
    assert!(reopen(*winner, 1).await.unwrap(), "until it is done");
    assert!(catalog.document_processed(kb, &id, 1, COUNTS, now).await.unwrap());
    assert!(!reopen(*winner, 1).await.unwrap());
    let twin = pair.twin.stores.catalog().document(&pair.twin.kb.id, &id).await.unwrap().unwrap();
    assert_eq!(twin.status, DocumentStatus::Pending);
}

/// Which revision is served: it stays until a later one is whole, and is noted when that was overtaken.
pub(super) async fn served(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let id = DocumentId::of_name("a.md");
    for party in [&pair.acme, &pair.twin] {
        party.register(vec![upload("a.md", 1, now)], now).await;
    }
    let read = async || {
        let document = catalog.document(kb, &id).await.unwrap().unwrap();
        (document.served, document.counts)
    };
    let digests = async || {
        let mut found = catalog.document_digests(kb, std::slice::from_ref(&id)).await.unwrap();
        found.sort();
        found.into_iter().map(|(_, sha256)| sha256).collect::<Vec<_>>()
    };
    let sha256 = |revision: u64| format!("{revision:064x}");
    assert_eq!((read().await, digests().await), ((None, DocumentCounts::default()), vec![sha256(1)]));
    assert!(catalog.document_processed(kb, &id, 1, COUNTS, now).await.unwrap());
    assert_eq!(read().await, (Some(1), COUNTS));

    pair.acme.register(vec![upload("a.md", 2, now)], now).await;
    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    assert!(catalog.document_processing(kb, &id, 2, (JobId::generate(now), 1), now).await.unwrap());
    assert!(catalog.document_failed(kb, &id, 2, &fault, now).await.unwrap());
    assert_eq!(read().await, (Some(1), COUNTS), "as long as revision 2 is not whole");
    assert_eq!(digests().await, [sha256(1), sha256(2)]);

    // Revision 2 gets into the index after all, while revision 3 is accepted.
    pair.acme.register(vec![upload("a.md", 3, now)], now).await;
    let less = DocumentCounts { chunks: 2, entities: 1, relations: 0 };
    let of = |revision| Served { revision, original: Some((sha256(revision), 7)), counts: less };
    for revision in [1, 4] {
        catalog.document_served(kb, &id, &of(revision)).await.unwrap();
        assert_eq!(read().await, (Some(1), COUNTS), "{revision} is no news");
    }
    catalog.document_served(kb, &id, &of(2)).await.unwrap();
    assert_eq!(read().await, (Some(2), less));
    assert_eq!(digests().await, [sha256(2), sha256(3)]);
    let document = catalog.document(kb, &id).await.unwrap().unwrap();
    assert_eq!((document.revision, document.status), (3, DocumentStatus::Pending));
    assert!(catalog.document_processed(kb, &id, 3, COUNTS, now).await.unwrap());
    assert_eq!((read().await, digests().await), ((Some(3), COUNTS), vec![sha256(3)]));

    // Of a document that is being deleted nothing is served any more.
    let begun = pair.acme.stores.lifecycle().document_deletion_begin(kb, &id, 3, now).await.unwrap();
    pair.acme.register(vec![upload("a.md", begun.unwrap() + 1, now)], now).await;
    assert_eq!(read().await, (None, DocumentCounts::default()));
    let twin = pair.twin.stores.catalog().document(&pair.twin.kb.id, &id).await.unwrap().unwrap();
    assert_eq!((twin.served, twin.status), (None, DocumentStatus::Pending));
}

/// A failed document is set back for a job that was started again, unless something else happened to it since.
pub(super) async fn redriven(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    let at = |seconds| pair.now + chrono::TimeDelta::seconds(seconds);
    for party in [&pair.acme, &pair.twin] {
        party.register(vec![upload("a.md", 1, pair.now)], pair.now).await;
    }
    let fault = DocumentFault { code: "empty".into(), detail: "no text".into() };
    let job = JobId::generate(pair.now);
    let redriven = async |revision, before| {
        let work = (job, DocumentStatus::Processing);
        catalog.document_redriven(kb, &id, revision, work, before).await.unwrap()
    };
    assert!(!redriven(1, at(9)).await, "it did not fail");
    assert!(catalog.document_failed(kb, &id, 1, &fault, at(5)).await.unwrap());
    assert!(!redriven(1, at(4)).await, "it failed after that");
    assert!(!redriven(2, at(5)).await, "of another revision");
    assert!(redriven(1, at(5)).await);
    let document = catalog.document(kb, &id).await.unwrap().unwrap();
    assert_eq!((document.status, document.fault, document.job_id), (DocumentStatus::Processing, None, job));
    assert!(!redriven(1, at(6)).await, "it is on its way");
    let twin = pair.twin.stores.catalog().document(&pair.twin.kb.id, &id).await.unwrap().unwrap();
    assert_eq!(twin.status, DocumentStatus::Pending);
}
