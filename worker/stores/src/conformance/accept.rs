use futures::future::join_all;
use jobs::DocumentId;
use jobs::plan::Limits;
use serde_json::json;

use super::fixture::{Pair, Party, now, upload};
use crate::Opened;
use crate::model::{
    Acceptance, Accepted, DocumentCounts, DocumentFault, DocumentStatus, Idempotency, KnownDocument, Replay,
    UploadQuestion, UploadView, Usage,
};

fn answer(key: &str, fingerprint: &str) -> Idempotency {
    let body = json!({ "job_id": fingerprint, "é": [1, 2.5, null] });
    Idempotency { key: key.into(), fingerprint: fingerprint.into(), status: 202, body }
}

fn replayed(answer: &Idempotency) -> Replay {
    let Idempotency { fingerprint, status, body, .. } = answer.clone();
    Replay { fingerprint, status, body }
}

/// An upload with its job and its answer.
fn acceptance(party: &Party, name: &str, revision: u64, answer: Option<Idempotency>) -> Acceptance {
    let documents = Some((party.kb.id.clone(), vec![upload(name, revision, now())]));
    Acceptance { documents, jobs: vec![party.job()], idempotency: answer, ..Acceptance::default() }
}

pub(super) async fn whole(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let answer = answer("k", "f");
    let request = acceptance(&pair.acme, "a.md", 1, Some(answer.clone()));
    assert_eq!(catalog.accept(&request, pair.now).await.unwrap(), Accepted::New);

    let (_, uploads) = request.documents.as_ref().unwrap();
    let document = catalog.document(&pair.acme.kb.id, &uploads[0].id).await.unwrap().unwrap();
    assert_eq!((document.name.as_str(), document.revision), ("a.md", 1));
    assert_eq!((document.size_bytes, &document.sha256), (uploads[0].size_bytes, &uploads[0].sha256));
    assert_eq!((document.status, document.fault), (DocumentStatus::Pending, None));
    assert_eq!((document.job_id, document.counts), (uploads[0].job_id, DocumentCounts::default()));
    assert_eq!((document.created_at, document.updated_at), (pair.now, pair.now));
    assert_eq!(catalog.replay("k").await.unwrap(), Some(replayed(&answer)));
    assert_eq!(pair.acme.outbox(opened).await, [request.jobs[0].id()]);

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.document(&pair.twin.kb.id, &document.id).await.unwrap(), None);
    assert_eq!(twin.replay("k").await.unwrap(), None);
    assert_eq!(pair.twin.outbox(opened).await, []);
}

pub(super) async fn replay(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let first = answer("k", "first");
    catalog.accept(&acceptance(&pair.acme, "a.md", 1, Some(first.clone())), now()).await.unwrap();

    let second = acceptance(&pair.acme, "b.md", 1, Some(answer("k", "second")));
    let accepted = catalog.accept(&second, now()).await.unwrap();
    assert_eq!(accepted, Accepted::Replayed(replayed(&first)));
    assert_eq!(catalog.document(&pair.acme.kb.id, &DocumentId::of_name("b.md")).await.unwrap(), None);
    assert_eq!(pair.acme.outbox(opened).await.len(), 1);

    let twin = acceptance(&pair.twin, "a.md", 1, Some(answer("k", "third")));
    assert_eq!(pair.twin.stores.catalog().accept(&twin, now()).await.unwrap(), Accepted::New);

    // After a day the key is free again.
    let old = acceptance(&pair.acme, "c.md", 1, Some(answer("old", "first")));
    catalog.accept(&old, now() - chrono::TimeDelta::hours(25)).await.unwrap();
    assert_eq!(catalog.replay("old").await.unwrap(), None);
    let new = acceptance(&pair.acme, "d.md", 1, Some(answer("old", "second")));
    assert_eq!(catalog.accept(&new, now()).await.unwrap(), Accepted::New);
    assert_eq!(catalog.replay("old").await.unwrap().unwrap().fingerprint, "second");
}

pub(super) async fn racing_replays(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let request = |n: u32| acceptance(&pair.acme, &format!("{n}.md"), 1, Some(answer("k", "f")));
    let racers: Vec<_> = (0..8).map(request).collect();
    let outcomes = join_all(racers.iter().map(|request| catalog.accept(request, pair.now))).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Accepted::New).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Accepted::New | Accepted::Replayed(_))));
    assert_eq!(pair.acme.outbox(opened).await.len(), 1);
    assert_eq!(catalog.document_totals(&pair.acme.kb.id).await.unwrap(), [1, 0, 0, 0, 0]);
}

pub(super) async fn nothing_by_half(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    // The second document claims to replace one that does not exist.
    let mut request = acceptance(&pair.acme, "a.md", 1, Some(answer("k", "f")));
    request.documents.as_mut().unwrap().1.push(upload("b.md", 2, now()));
    assert_eq!(catalog.accept(&request, now()).await.unwrap(), Accepted::RevisionMoved);
    for name in ["a.md", "b.md"] {
        assert_eq!(catalog.document(&pair.acme.kb.id, &DocumentId::of_name(name)).await.unwrap(), None);
    }
    assert_eq!(catalog.replay("k").await.unwrap(), None);
    assert_eq!(pair.acme.outbox(opened).await, []);

    // Nor are documents accepted for a knowledge base that does not exist.
    let mut request = acceptance(&pair.acme, "a.md", 1, Some(answer("k", "f")));
    request.documents.as_mut().unwrap().0 = "nowhere".parse().unwrap();
    assert_eq!(catalog.accept(&request, now()).await.unwrap(), Accepted::KbGone);
    assert_eq!(catalog.replay("k").await.unwrap(), None);
    assert_eq!(pair.acme.outbox(opened).await, []);
}

pub(super) async fn racing_revisions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    for revision in 1..=2 {
        let racers: Vec<_> = (0..8).map(|_| acceptance(&pair.acme, "a.md", revision, None)).collect();
        let outcomes = join_all(racers.iter().map(|request| catalog.accept(request, pair.now))).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let winner = outcomes.iter().position(|outcome| *outcome == Accepted::New).unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Accepted::RevisionMoved).count(), 7);
        let document =
            catalog.document(&pair.acme.kb.id, &DocumentId::of_name("a.md")).await.unwrap().unwrap();
        assert_eq!(document.revision, revision);
        assert_eq!(document.job_id, racers[winner].documents.as_ref().unwrap().1[0].job_id);
    }
    assert_eq!(pair.acme.outbox(opened).await.len(), 2);
}

pub(super) async fn replacement(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    assert_eq!(pair.acme.register(vec![upload("a.md", 1, pair.now)], pair.now).await, Accepted::New);
    let counts = DocumentCounts { chunks: 3, entities: 2, relations: 1 };
    assert!(catalog.document_processed(kb, &id, 1, counts, pair.now).await.unwrap());
    let fault = DocumentFault { code: "not_utf8".into(), detail: "byte 7".into() };
    assert!(catalog.document_failed(kb, &id, 1, &fault, pair.now).await.unwrap());

    let later = pair.now + chrono::TimeDelta::seconds(5);
    assert_eq!(pair.acme.register(vec![upload("a.md", 1, later)], later).await, Accepted::RevisionMoved);
    assert_eq!(pair.acme.register(vec![upload("a.md", 3, later)], later).await, Accepted::RevisionMoved);
    assert_eq!(pair.acme.register(vec![upload("a.md", 2, later)], later).await, Accepted::New);
    let document = catalog.document(kb, &id).await.unwrap().unwrap();
    assert_eq!((document.revision, document.status), (2, DocumentStatus::Pending));
    // The revision before is served until this one is whole.
    assert_eq!((document.fault, document.served, document.counts), (None, Some(1), counts));
    assert_eq!((document.created_at, document.updated_at), (pair.now, later));
}

pub(super) async fn foreign_job(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let mut request = acceptance(&pair.acme, "a.md", 1, None);
    request.jobs.push(pair.twin.job());
    let error = pair.acme.stores.catalog().accept(&request, now()).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert_eq!(pair.acme.outbox(opened).await, []);
    assert_eq!(pair.twin.outbox(opened).await, []);
    assert_eq!(pair.acme.stores.catalog().document_totals(&pair.acme.kb.id).await.unwrap(), [0; 5]);
}

/// What an upload is told before it is stored, of documents that are new, there, being deleted and gone.
pub(super) async fn seen_before(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, kb, now) = (&pair.acme, &pair.acme.kb.id, pair.now);
    let names = ["new.md", "there.md", "going.md"];
    let documents = names.map(DocumentId::of_name);
    let limited = Limits { max_documents: Some(10), ..Limits::default() };
    let see = async |party: &Party, key, limits: &Limits| {
        let asked = UploadQuestion { kb, documents: &documents, key, batch: None, limits };
        party.stores.catalog().upload_view(&asked, now).await.unwrap()
    };
    let known = |revision, replaced_bytes| KnownDocument { revision, replaced_bytes };
    let nothing = UploadView { documents: vec![known(0, None); 3], ..UploadView::default() };
    assert_eq!(see(acme, Some("k"), &limited).await, nothing);

    let first = answer("k", "f");
    assert_eq!(acme.register(vec![upload("there.md", 1, now)], now).await, Accepted::New);
    let request = acceptance(acme, "there.md", 2, Some(first.clone()));
    assert_eq!(acme.stores.catalog().accept(&request, now).await.unwrap(), Accepted::New);
    let others = vec![upload("going.md", 1, now), upload("gone.md", 1, now)];
    assert_eq!(acme.register(others, now).await, Accepted::New);
    let lifecycle = acme.stores.lifecycle();
    for (name, is_gone) in [("going.md", false), ("gone.md", true)] {
        let id = DocumentId::of_name(name);
        assert_eq!(lifecycle.document_deletion_begin(kb, &id, 1, now).await.unwrap(), Some(2));
        assert_eq!(is_gone && lifecycle.document_delete(kb, &id, 2).await.unwrap(), is_gone);
    }
    let size = |revision: u64| 5_000_000_000 + revision;
    let usage = Usage { documents: 2, storage_bytes: size(2) + size(1), daily_jobs: 1, ..Usage::default() };
    let expected = UploadView {
        replay: Some(replayed(&first)),
        documents: vec![known(3, None), known(2, Some(size(2))), known(2, None)],
        usage,
        batch_cancelled: false,
    };
    assert_eq!(see(acme, Some("k"), &limited).await, expected);
    assert_eq!(see(acme, Some("other"), &limited).await, UploadView { replay: None, ..expected.clone() });
    let uncounted = Usage { daily_jobs: 1, ..Usage::default() };
    let unlimited = UploadView { replay: None, usage: uncounted, ..expected };
    assert_eq!(see(acme, None, &Limits::default()).await, unlimited);
    assert_eq!(see(&pair.twin, Some("k"), &limited).await, nothing);
}
