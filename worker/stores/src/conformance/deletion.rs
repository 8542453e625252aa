use bytes::Bytes;
use jobs::{DocumentId, JobId};
use sha2::{Digest as _, Sha256};

use super::fixture::{Pair, upload};
use crate::Opened;
use crate::model::{Accepted, DocumentCounts, DocumentFault, DocumentStatus, ParsedDocument};

pub(super) async fn documents(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, now, id) = (&pair.acme.kb.id, pair.now, DocumentId::of_name("a.md"));
    for party in [&pair.acme, &pair.twin] {
        let uploads = vec![upload("a.md", 1, now), upload("b.md", 1, now)];
        assert_eq!(party.register(uploads, now).await, Accepted::New);
    }
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    let begin = async |revision| lifecycle.document_deletion_begin(kb, &id, revision, now).await.unwrap();
    assert_eq!(begin(2).await, None, "that revision was never uploaded");
    assert!(!lifecycle.document_delete(kb, &id, 1).await.unwrap(), "nobody began to delete it");

    assert_eq!(begin(1).await, Some(2));
    assert_eq!(begin(1).await, Some(3), "a second attempt goes on");
    assert_eq!(catalog.document(kb, &id).await.unwrap(), None);
    let listed = catalog.documents(kb, None, None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|document| document.name.as_str()).collect::<Vec<_>>(), ["b.md"]);
    assert_eq!(catalog.document_totals(kb).await.unwrap(), [1, 0, 0, 0, 0]);
    assert_eq!(pair.acme.last_revision(kb, &id).await, 3);
    let counts = DocumentCounts::default();
    for revision in [1, 2] {
        assert!(!catalog.document_processed(kb, &id, revision, counts, now).await.unwrap());
        assert!(!lifecycle.document_delete(kb, &id, revision).await.unwrap());
    }
    assert!(lifecycle.document_delete(kb, &id, 3).await.unwrap());
    assert!(!lifecycle.document_delete(kb, &id, 3).await.unwrap());
    assert_eq!(begin(1).await, None, "gone");
    assert_eq!(catalog.usage(now).await.unwrap().documents, 1);

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.document(kb, &id).await.unwrap().unwrap().revision, 1);
    assert_eq!(twin.document_totals(kb).await.unwrap(), [2, 0, 0, 0, 0]);
}

pub(super) async fn replaced_meanwhile(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, now, id) = (&pair.acme.kb.id, pair.now, DocumentId::of_name("a.md"));
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    let register = async |revision| pair.acme.register(vec![upload("a.md", revision, now)], now).await;
    let begin = async |revision| lifecycle.document_deletion_begin(kb, &id, revision, now).await.unwrap();
    assert_eq!(register(1).await, Accepted::New);
    assert_eq!(register(2).await, Accepted::New);
    assert_eq!(begin(1).await, None, "a later upload is not deleted");
    assert_eq!(begin(2).await, Some(3));

    // An upload that read the revision before the deletion began conflicts.
    for stale in [1, 3] {
        assert_eq!(register(stale).await, Accepted::RevisionMoved);
    }
    assert_eq!(register(4).await, Accepted::New);
    assert_eq!(catalog.document(kb, &id).await.unwrap().unwrap().revision, 4);
    assert!(!lifecycle.document_delete(kb, &id, 3).await.unwrap());
    assert!(!lifecycle.document_delete(kb, &id, 4).await.unwrap());
    assert_eq!(begin(2).await, None);
    assert_eq!(catalog.document(kb, &id).await.unwrap().unwrap().revision, 4);
}

pub(super) async fn uploaded_again(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, now, id) = (&pair.acme.kb.id, pair.now, DocumentId::of_name("a.md"));
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    let register = async |revision| pair.acme.register(vec![upload("a.md", revision, now)], now).await;
    let begin = async |revision| lifecycle.document_deletion_begin(kb, &id, revision, now).await.unwrap();
    assert_eq!(pair.acme.last_revision(kb, &id).await, 0);
    assert_eq!(register(1).await, Accepted::New);
    assert_eq!(begin(1).await, Some(2));
    assert!(lifecycle.document_delete(kb, &id, 2).await.unwrap());

    // So does an upload that read no document before the first upload, and one that read it during the deletion.
    for stale in [1, 3] {
        assert_eq!(register(stale).await, Accepted::RevisionMoved, "{stale}");
    }
    let last = pair.acme.last_revision(kb, &id).await;
    assert_eq!(register(last + 1).await, Accepted::New);
    let fault = DocumentFault { code: "not_utf8".into(), detail: "byte 7".into() };
    for of_the_old in 1..=last {
        assert!(
            !catalog.document_processing(kb, &id, of_the_old, (JobId::generate(now), 1), now).await.unwrap()
        );
        let counts = DocumentCounts::default();
        assert!(!catalog.document_processed(kb, &id, of_the_old, counts, now).await.unwrap());
        assert!(!catalog.document_failed(kb, &id, of_the_old, &fault, now).await.unwrap());
        assert_eq!(begin(of_the_old).await, None);
    }
    let document = catalog.document(kb, &id).await.unwrap().unwrap();
    assert_eq!((document.revision, document.status), (last + 1, DocumentStatus::Pending));
    assert_eq!(pair.twin.last_revision(kb, &id).await, 0, "another tenant's");
}

pub(super) async fn texts_and_originals(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, id, other) = (&pair.acme.kb.id, DocumentId::of_name("a.md"), DocumentId::of_name("b.md"));
    let parsed = ParsedDocument { revision: 1, title: None, text: "text ".repeat(2_000_000) };
    let bytes = Bytes::from_static(b"an original");
    let sha256 = hex::encode(Sha256::digest(&bytes));
    for (party, id) in [(&pair.acme, &id), (&pair.acme, &other), (&pair.twin, &id)] {
        party.stores.documents().parsed_put(kb, id, &parsed).await.unwrap();
        party.stores.blobs().original_put(kb, id, &sha256, bytes.clone()).await.unwrap();
    }
    let (documents, blobs) = (pair.acme.stores.documents(), pair.acme.stores.blobs());
    let mut originals = blobs.originals(kb, &id).await.unwrap();
    assert_eq!(originals.iter().map(|original| &original.sha256).collect::<Vec<_>>(), [&sha256]);

    // As if it had been stored again since.
    originals[0].stored_at -= chrono::TimeDelta::seconds(1);
    blobs.originals_delete(kb, &id, &originals).await.unwrap();
    assert_eq!(blobs.original(kb, &id, &sha256).await.unwrap(), Some(bytes));
    let originals = blobs.originals(kb, &id).await.unwrap();
    for _ in 0..2 {
        documents.parsed_forget(kb, &id).await.unwrap();
        blobs.originals_delete(kb, &id, &originals).await.unwrap();
        assert_eq!(documents.parsed(kb, &id).await.unwrap(), None);
        assert_eq!(blobs.originals(kb, &id).await.unwrap(), []);
    }
    for (party, id) in [(&pair.acme, &other), (&pair.twin, &id)] {
        assert!(party.stores.documents().parsed(kb, id).await.unwrap().is_some());
        assert_eq!(party.stores.blobs().originals(kb, id).await.unwrap().len(), 1);
    }
}
