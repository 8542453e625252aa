use bytes::Bytes;
use jobs::plan::Limits;
use jobs::tenant::{KbId, Role};
use jobs::{DocumentId, JobId};
use sha2::{Digest as _, Sha256};

use super::fixture::{Pair, Party, now, upload, workspace};
use super::index::{entity, relation, say};
use super::schedules::schedule;
use crate::Opened;
use crate::model::{
    Acceptance, Accepted, Chunk, DocumentCounts, DocumentStatus, Extraction, GraphCounts, Kb, NewApiKey,
    NewKb, ParsedDocument, TenantStatistics,
};

async fn accept(party: &Party, acceptance: Acceptance) -> Accepted {
    party.stores.catalog().accept(&acceptance, now()).await.unwrap()
}

async fn close(party: &Party, kb: &KbId) -> Accepted {
    accept(party, Acceptance { kb_close: Some(kb.clone()), ..Acceptance::default() }).await
}

fn papers(id: &str) -> NewKb {
    let new = NewKb::new(id.parse().unwrap(), "Papers", workspace(now()));
    NewKb { description: "Read them".into(), created_by: Some("local:ann".into()), ..new }
}

pub(super) async fn made_and_renamed(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let make = async |new: &NewKb| {
        accept(&pair.acme, Acceptance { kb: Some(new.clone()), ..Acceptance::default() }).await
    };
    let archive = papers("archive");
    let (catalog, directory) = (pair.acme.stores.catalog(), &opened.directory);
    assert_eq!(directory.kb(pair.acme.id(), &archive.id).await.unwrap(), None);
    assert_eq!(make(&archive).await, Accepted::New);
    assert_eq!(make(&papers("archive")).await, Accepted::KbExists);
    let made = catalog.kb(&archive.id).await.unwrap().unwrap();
    assert_eq!(made, archive.at(made.created_at));
    assert_eq!(directory.kb(pair.acme.id(), &archive.id).await.unwrap(), Some(made.clone()));

    let twin = pair.twin.stores.catalog();
    let renamed = Kb {
        name: "Old papers".into(),
        description: "Before 1990".into(),
        revision: 2,
        updated_at: made.created_at + chrono::TimeDelta::seconds(1),
        ..made.clone()
    };
    assert!(!twin.kb_describe(&Kb { name: "Theirs".into(), ..renamed.clone() }).await.unwrap());
    assert!(!catalog.kb_describe(&Kb { name: "Old".into(), revision: 3, ..made }).await.unwrap());
    assert!(catalog.kb_describe(&renamed).await.unwrap());
    assert!(!catalog.kb_describe(&Kb { name: "Older papers".into(), ..renamed.clone() }).await.unwrap());
    assert_eq!(catalog.kb(&archive.id).await.unwrap(), Some(renamed.clone()));
    assert_eq!(directory.kb(pair.acme.id(), &archive.id).await.unwrap(), Some(renamed));
}

/// What tenants and knowledge bases hold is counted for many at once, and for each by its own rows.
pub(super) async fn statistics(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let other = pair.acme.kb_new("other").await;
    let mut uploads: Vec<_> = ["a.md", "b.md", "c.md"].map(|name| upload(name, 1, pair.now)).into();
    let ids: Vec<_> = uploads.iter().map(|upload| upload.id.clone()).collect();
    let bytes: u64 = uploads.iter().map(|upload| upload.size_bytes).sum();
    pair.twin.register(vec![uploads[0].clone()], pair.now).await;
    let one = uploads[0].size_bytes;
    pair.acme.register(std::mem::take(&mut uploads), pair.now).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let counts = DocumentCounts { chunks: 1, entities: 0, relations: 0 };
    assert!(catalog.document_processed(kb, &ids[0], 1, counts, pair.now).await.unwrap());

    let found = catalog.kb_statistics(&[kb.clone(), other.id.clone()]).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [kb], "one without documents is left out");
    assert_eq!(found[kb].documents, catalog.document_totals(kb).await.unwrap());
    assert_eq!((found[kb].documents.iter().sum::<u64>(), found[kb].storage_bytes), (3, bytes));
    assert_eq!(catalog.kb_statistics(&[other.id]).await.unwrap(), [].into());
    assert_eq!(catalog.usage(now()).await.unwrap().storage_bytes, bytes);

    let asked = [pair.twin.id().clone(), pair.acme.id().clone(), "no-such".parse().unwrap()];
    let found = opened.directory.tenant_statistics(&asked).await.unwrap();
    let acme = TenantStatistics { kbs: 2, documents: 3, storage_bytes: bytes };
    let twin = TenantStatistics { kbs: 1, documents: 1, storage_bytes: one };
    assert_eq!(found, [(pair.acme.id().clone(), acme), (pair.twin.id().clone(), twin)].into());

    let numbered = async |offset, limit| catalog.documents_numbered(kb, None, offset, limit).await.unwrap();
    let all = catalog.documents(kb, None, None, 10).await.unwrap().items;
    assert_eq!((numbered(0, 2).await, numbered(2, 2).await), (all[..2].to_vec(), all[2..].to_vec()));
    let done = catalog.documents_numbered(kb, Some(DocumentStatus::Processed), 0, 9).await.unwrap();
    assert_eq!(done.into_iter().map(|document| document.id).collect::<Vec<_>>(), ids[..1]);
}

/// For each tenant a key for everything, one for its knowledge base alone, and one for another.
async fn keys(pair: &Pair) {
    for party in [&pair.acme, &pair.twin] {
        for (number, (name, kb_id)) in
            [("wide", None), ("narrow", Some(party.kb.id.clone())), ("other", Some("other".parse().unwrap()))]
                .into_iter()
                .enumerate()
        {
            let (id, name) = (format!("key0000{number}").parse().unwrap(), name.into());
            let key = NewApiKey {
                id,
                name,
                kb_id,
                secret_sha256: "11".repeat(32),
                role: Role::Editor,
                permissions: None,
                created_by: None,
                expires_at: None,
            };
            party.stores.catalog().api_key_ensure(&key, now()).await.unwrap();
        }
    }
}

async fn key_names(party: &Party) -> Vec<String> {
    let page = party.stores.catalog().api_keys(None, 10).await.unwrap();
    page.items.into_iter().map(|key| key.name).collect()
}

pub(super) async fn closed(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, id) = (&pair.acme.kb.id, DocumentId::of_name("a.md"));
    for party in [&pair.acme, &pair.twin] {
        assert_eq!(party.register(vec![upload("a.md", 1, pair.now)], pair.now).await, Accepted::New);
        let nightly = schedule(party, "nightly", pair.now + chrono::TimeDelta::days(1));
        party.stores.catalog().schedule_put(&nightly, &Limits::default()).await.unwrap();
    }
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    keys(&pair).await;
    assert_eq!(close(&pair.acme, &"nowhere".parse().unwrap()).await, Accepted::KbGone);
    assert_eq!(lifecycle.kb_closed(kb).await.unwrap(), None);
    assert!(!lifecycle.kb_delete(kb, now()).await.unwrap(), "it is in use");
    assert_eq!(key_names(&pair.acme).await, ["wide", "narrow", "other"]);
    assert!(opened.directory.kb_exists(pair.acme.id(), kb).await.unwrap());

    for _ in 0..2 {
        assert_eq!(close(&pair.acme, kb).await, Accepted::New);
        assert!(!opened.directory.kb_exists(pair.acme.id(), kb).await.unwrap());
        assert_eq!(catalog.kb(kb).await.unwrap(), None);
        assert_eq!(catalog.kbs().await.unwrap(), []);
        assert_eq!(catalog.document(kb, &id).await.unwrap(), None);
        assert_eq!(catalog.document_totals(kb).await.unwrap(), [0; 5]);
        assert_eq!(catalog.schedules(kb).await.unwrap(), []);
        assert!(
            !catalog.document_processing(kb, &id, 1, (JobId::generate(pair.now), 1), pair.now).await.unwrap()
        );
    }
    let gone = pair.acme.register(vec![upload("b.md", 1, pair.now)], pair.now).await;
    assert_eq!(gone, Accepted::KbGone);
    let again = Acceptance { kb: Some(papers(kb.as_str())), ..Acceptance::default() };
    assert_eq!(catalog.accept(&again, now()).await.unwrap(), Accepted::KbExists);
    let found = lifecycle.kb_closed(kb).await.unwrap().unwrap();
    assert_eq!((found.workspace, found.is_closed), (pair.acme.kb.workspace.clone(), true));

    // Until then its own key may still request the deletion, and the job of its creator is verified.
    assert_eq!(key_names(&pair.acme).await, ["wide", "narrow", "other"]);
    assert!(lifecycle.kb_delete(kb, now()).await.unwrap());
    assert!(!lifecycle.kb_delete(kb, now()).await.unwrap());
    assert_eq!(key_names(&pair.acme).await, ["wide", "other"]);
    let narrow = opened.directory.api_key(pair.acme.id(), &"key00001".parse().unwrap()).await.unwrap();
    assert!(narrow.unwrap().revoked_at.is_some(), "the directory hears of it");
    assert_eq!(key_names(&pair.twin).await, ["wide", "narrow", "other"]);
    assert_eq!(lifecycle.kb_closed(kb).await.unwrap(), None);
    assert_eq!(catalog.usage(now()).await.unwrap().documents, 0);
    assert_eq!(catalog.accept(&again, now()).await.unwrap(), Accepted::New);
    let last = pair.acme.last_revision(kb, &id).await;
    assert!(last > 2, "closing it twice raised the revision of what was in it");
    assert_eq!(
        pair.acme.register(vec![upload("a.md", 1, pair.now)], pair.now).await,
        Accepted::RevisionMoved
    );
    assert_eq!(pair.acme.register(vec![upload("a.md", last + 1, pair.now)], pair.now).await, Accepted::New);

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.document_totals(kb).await.unwrap(), [1, 0, 0, 0, 0]);
    assert_eq!(twin.schedules(kb).await.unwrap().len(), 1);
}

/// Stores one item of every kind in a knowledge base.
async fn fill(party: &Party, kb: &Kb) {
    let id = DocumentId::of_name("a.md");
    let bytes = Bytes::from_static(b"an original");
    let sha256 = hex::encode(Sha256::digest(&bytes));
    party.stores.blobs().original_put(&kb.id, &id, &sha256, bytes).await.unwrap();
    let parsed = ParsedDocument { revision: 1, title: None, text: "text".into() };
    let (documents, index) = (party.stores.documents(), party.stores.index());
    documents.parsed_put(&kb.id, &id, &parsed).await.unwrap();
    documents.extractions_put(&kb.id, &id, 1, &[(0, Extraction::default())]).await.unwrap();
    let chunk = Chunk { order: 0, tokens: 1, content: "text".into() };
    index.chunks_replace(kb, &id, "a.md", &[chunk]).await.unwrap();
    let said = [
        entity("a.md", 0, "Curie", "person", "a chemist"),
        relation("a.md", 0, ["Curie", "Paris"], "lives", 1.0),
    ];
    say(index.as_ref(), kb, "a.md", &said).await;
}

/// Number of items: originals, texts, extractions, and the counts of the index.
async fn held(party: &Party, kb: &Kb) -> (usize, usize, usize, GraphCounts) {
    let id = DocumentId::of_name("a.md");
    let documents = party.stores.documents();
    (
        party.stores.blobs().originals(&kb.id, &id).await.unwrap().len(),
        usize::from(documents.parsed(&kb.id, &id).await.unwrap().is_some()),
        documents.extractions(&kb.id, &id, 1, 0..1_000).await.unwrap().len(),
        party.stores.index().counts(kb).await.unwrap(),
    )
}

pub(super) async fn emptied(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let kb = &pair.acme.kb;
    let (other, theirs) = (pair.acme.kb_new("default-2").await, &pair.twin.kb);
    for (party, kb) in [(&pair.acme, kb), (&pair.acme, &other), (&pair.twin, theirs)] {
        fill(party, kb).await;
    }
    let full = (1, 1, 1, GraphCounts { chunks: 1, entities: 2, relations: 1 });
    assert_eq!(held(&pair.acme, kb).await, full);
    for _ in 0..2 {
        pair.acme.stores.index().kb_forget(kb).await.unwrap();
        pair.acme.stores.documents().kb_forget(&kb.id).await.unwrap();
        pair.acme.stores.blobs().kb_forget(&kb.id).await.unwrap();
        assert_eq!(held(&pair.acme, kb).await, (0, 0, 0, GraphCounts::default()));
    }
    assert_eq!(held(&pair.acme, &other).await, full);
    assert_eq!(held(&pair.twin, theirs).await, full);
    // Another tenant cannot empty it through its workspace id.
    pair.twin.stores.index().kb_forget(&other).await.unwrap();
    assert_eq!(held(&pair.acme, &other).await, full);
}
