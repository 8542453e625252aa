use chrono::TimeDelta;
use jobs::tenant::KbId;
use jobs::{DocumentId, JobId};

use super::fixture::{Pair, Party, upload};
use crate::Opened;
use crate::model::{Acceptance, Accepted, DocumentCounts, DocumentSelection, DocumentStatus};

/// What is on a list, in a knowledge base.
async fn listed(party: &Party, kb: &KbId, list: JobId) -> Vec<(DocumentId, u64)> {
    party.stores.catalog().deletion_list(kb, list, 100).await.unwrap()
}

fn sorted(names: &[(&str, u64)]) -> Vec<(DocumentId, u64)> {
    let mut ids: Vec<_> =
        names.iter().map(|(name, revision)| (DocumentId::of_name(name), *revision)).collect();
    ids.sort();
    ids
}

pub(super) async fn by_id_and_by_status(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    for party in [&pair.acme, &pair.twin] {
        let uploads = ["a.md", "b.md", "c.md"].map(|name| upload(name, 1, now)).to_vec();
        assert_eq!(party.register(uploads, now).await, Accepted::New);
    }
    assert_eq!(pair.acme.register(vec![upload("b.md", 2, now)], now).await, Accepted::New);
    let processed = DocumentId::of_name("c.md");
    assert!(catalog.document_processed(kb, &processed, 1, DocumentCounts::default(), now).await.unwrap());
    let put = async |selection: &DocumentSelection| {
        let list = JobId::generate(now);
        (catalog.deletion_list_put(kb, list, selection, now).await.unwrap(), list)
    };

    let (count, all) = put(&DocumentSelection::All).await;
    assert_eq!(
        (count, listed(&pair.acme, kb, all).await),
        (3, sorted(&[("a.md", 1), ("b.md", 2), ("c.md", 1)]))
    );
    let (_, pending) = put(&DocumentSelection::InStatus(DocumentStatus::Pending)).await;
    assert_eq!(listed(&pair.acme, kb, pending).await, sorted(&[("a.md", 1), ("b.md", 2)]));
    let ids = ["c.md", "never.md", "a.md"].map(DocumentId::of_name).to_vec();
    let (count, some) = put(&DocumentSelection::Ids(ids)).await;
    assert_eq!((count, listed(&pair.acme, kb, some).await), (2, sorted(&[("a.md", 1), ("c.md", 1)])));

    // A later upload changes no list, and a list that is written again stays as it is.
    assert_eq!(pair.acme.register(vec![upload("a.md", 2, now)], now).await, Accepted::New);
    assert_eq!(catalog.deletion_list_put(kb, some, &DocumentSelection::All, now).await.unwrap(), 1);
    assert_eq!(listed(&pair.acme, kb, some).await, sorted(&[("a.md", 1), ("b.md", 2), ("c.md", 1)]));

    // Lists are a tenant's and a knowledge base's own.
    let archive = pair.acme.kb_new("archive").await;
    assert_eq!(listed(&pair.acme, &archive.id, all).await, []);
    assert_eq!(listed(&pair.twin, kb, all).await, []);
    let twin = pair.twin.stores.catalog();
    twin.deletion_list_done(all, &processed).await.unwrap();
    twin.deletion_list_forget(all).await.unwrap();
    assert_eq!(listed(&pair.acme, kb, all).await.len(), 3);
}

pub(super) async fn worked_off_and_forgotten(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let uploads = ["a.md", "b.md"].map(|name| upload(name, 1, now)).to_vec();
    assert_eq!(pair.acme.register(uploads, now).await, Accepted::New);
    let [first, second, old] = [(); 3].map(|()| JobId::generate(now));
    let long_ago = now - TimeDelta::days(31);
    for (list, at) in [(old, long_ago), (first, now), (second, now)] {
        assert_eq!(catalog.deletion_list_put(kb, list, &DocumentSelection::All, at).await.unwrap(), 2);
    }
    assert_eq!(listed(&pair.acme, kb, old).await.len(), 0, "no job works on it any more");
    assert_eq!(catalog.deletion_list(kb, first, 1).await.unwrap(), listed(&pair.acme, kb, first).await[..1]);
    for _ in 0..2 {
        catalog.deletion_list_done(first, &DocumentId::of_name("a.md")).await.unwrap();
        assert_eq!(listed(&pair.acme, kb, first).await, sorted(&[("b.md", 1)]));
    }
    assert_eq!(listed(&pair.acme, kb, second).await.len(), 2);
    catalog.deletion_list_forget(second).await.unwrap();
    assert_eq!(listed(&pair.acme, kb, second).await.len(), 0);

    // They go with the knowledge base.
    let close = Acceptance { kb_close: Some(kb.clone()), ..Acceptance::default() };
    assert_eq!(catalog.accept(&close, now).await.unwrap(), Accepted::New);
    assert!(pair.acme.stores.lifecycle().kb_delete(kb, now).await.unwrap());
    assert_eq!(listed(&pair.acme, kb, first).await.len(), 0);
}
