use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::TimeDelta;
use jobs::DocumentId;
use jobs::tenant::TenantId;
use sha2::{Digest as _, Sha256};

use super::fixture::{Pair, now, upload};
use crate::Opened;
use crate::model::Accepted;

/// Some bytes and their digest.
fn original(text: &str) -> (Bytes, String) {
    let bytes = Bytes::from(text.repeat(1_000));
    let sha256 = hex::encode(Sha256::digest(&bytes));
    (bytes, sha256)
}

pub(super) async fn originals(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (blobs, kb) = (pair.acme.stores.blobs(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    let (bytes, sha256) = original("one");
    assert_eq!(blobs.original(kb, &id, &sha256).await.unwrap(), None);
    for _ in 0..2 {
        blobs.original_put(kb, &id, &sha256, bytes.clone()).await.unwrap();
        assert_eq!(blobs.original(kb, &id, &sha256).await.unwrap(), Some(bytes.clone()));
    }
    let (empty, empty_sha256) = original("");
    blobs.original_put(kb, &id, &empty_sha256, empty.clone()).await.unwrap();
    assert_eq!(blobs.original(kb, &id, &empty_sha256).await.unwrap(), Some(empty));

    assert_eq!(pair.twin.stores.blobs().original(kb, &id, &sha256).await.unwrap(), None);
    assert_eq!(blobs.original(&"archive".parse().unwrap(), &id, &sha256).await.unwrap(), None);
    let error = blobs.original(kb, &id, "../../secrets").await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
}

pub(super) async fn forgotten(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin, kb) = (pair.acme.stores.blobs(), pair.twin.stores.blobs(), &pair.acme.kb.id);
    let (id, other) = (DocumentId::of_name("a.md"), DocumentId::of_name("b.md"));
    let revisions = ["one", "two", "three"].map(original);
    for (bytes, sha256) in &revisions {
        acme.original_put(kb, &id, sha256, bytes.clone()).await.unwrap();
        acme.original_put(kb, &other, sha256, bytes.clone()).await.unwrap();
        twin.original_put(kb, &id, sha256, bytes.clone()).await.unwrap();
    }
    let left = async |blobs: &std::sync::Arc<dyn crate::ports::Blobs>, id| {
        let mut left = Vec::new();
        for (_, sha256) in &revisions {
            left.push(blobs.original(kb, id, sha256).await.unwrap().is_some());
        }
        left
    };
    // Later originals may belong to an upload that is being accepted.
    let (bytes, kept) = &revisions[1];
    acme.originals_forget(kb, &id, Some(kept)).await.unwrap();
    assert_eq!(left(&acme, &id).await[1..], [true, true]);
    // A store's clock may have a resolution of a second: repeat until the kept original is the latest.
    let patience = Instant::now() + Duration::from_secs(30);
    while left(&acme, &id).await != [false, true, false] {
        assert!(Instant::now() < patience, "older originals stay");
        acme.original_put(kb, &id, kept, bytes.clone()).await.unwrap();
        acme.originals_forget(kb, &id, Some(kept)).await.unwrap();
    }
    for _ in 0..2 {
        acme.originals_forget(kb, &id, None).await.unwrap();
        assert_eq!(left(&acme, &id).await, [false; 3]);
    }
    assert_eq!(left(&acme, &other).await, [true; 3]);
    assert_eq!(left(&twin, &id).await, [true; 3]);
}

/// An original of an upload that was interrupted before its document was registered is removed, and no other.
pub(super) async fn left_over(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin, kb) = (pair.acme.stores.blobs(), pair.twin.stores.blobs(), &pair.acme.kb.id);
    let document = upload("a.md", 1, pair.now);
    let (id, other) = (document.id.clone(), DocumentId::of_name("b.md"));
    let (registered, stray) = (document.sha256.clone(), "e".repeat(64));
    assert_eq!(pair.acme.register(vec![document], pair.now).await, Accepted::New);
    for (blobs, document, sha256) in [
        (&acme, &id, &registered),
        (&acme, &id, &stray),
        (&acme, &other, &registered),
        (&twin, &id, &registered),
    ] {
        blobs.original_put(kb, document, sha256, Bytes::from_static(b"text")).await.unwrap();
    }
    let of_acme = |tenant: &TenantId| tenant == pair.acme.id();
    let young = opened.leftovers.sweep(now() - TimeDelta::hours(1), &of_acme).await.unwrap();
    assert_eq!(young.originals, 0, "it may be about to be registered");
    // The clock of a store may have a resolution of a second.
    let patience = Instant::now() + Duration::from_secs(30);
    let mut removed = 0;
    while removed < 2 {
        assert!(Instant::now() < patience, "{removed} of 2 are gone");
        removed += opened.leftovers.sweep(now(), &of_acme).await.unwrap().originals;
    }
    let digests = async |blobs: &std::sync::Arc<dyn crate::ports::Blobs>, id| {
        let left = blobs.originals(kb, id).await.unwrap();
        left.into_iter().map(|original| original.sha256).collect::<Vec<_>>()
    };
    assert_eq!(digests(&acme, &id).await, std::slice::from_ref(&registered));
    assert_eq!(digests(&acme, &other).await, Vec::<String>::new());
    assert_eq!(digests(&twin, &id).await, [registered]);
}
