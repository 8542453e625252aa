use jobs::DocumentId;

use super::fixture::Pair;
use crate::Opened;
use crate::model::{Chunk, ChunkFault, ExtractedEntity, ExtractedRelation, Extraction, ParsedDocument};

pub(super) async fn texts(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (documents, kb) = (pair.acme.stores.documents(), &pair.acme.kb.id);
    documents.provision().await.unwrap();
    let id = DocumentId::of_name("a.md");
    assert_eq!(documents.parsed(kb, &id).await.unwrap(), None);
    let mut parsed =
        ParsedDocument { revision: 1, title: None, text: "naïve 🦀 'text'\n$set".repeat(10_000) };
    for title in [None, Some("Title".to_owned())] {
        parsed.title = title;
        parsed.revision += 1;
        documents.parsed_put(kb, &id, &parsed).await.unwrap();
        documents.parsed_put(kb, &id, &parsed).await.unwrap();
        assert_eq!(documents.parsed(kb, &id).await.unwrap(), Some(parsed.clone()));
    }
    assert_eq!(pair.twin.stores.documents().parsed(kb, &id).await.unwrap(), None);
    assert_eq!(documents.parsed(&"archive".parse().unwrap(), &id).await.unwrap(), None);
    assert_eq!(documents.parsed(kb, &DocumentId::of_name("b.md")).await.unwrap(), None);
}

/// An extraction, recognisable by `text`.
fn extraction(text: &str) -> Extraction {
    let entity = ExtractedEntity { name: "Curie".into(), kind: "person".into(), description: text.into() };
    let relation = ExtractedRelation {
        source: "Curie".into(),
        target: "Paris".into(),
        keywords: vec!["lives".into(), "works".into()],
        description: text.into(),
        weight: 1.5,
    };
    Extraction { entities: vec![entity], relations: vec![relation], ..Extraction::default() }
}

pub(super) async fn extractions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (documents, kb) = (pair.acme.stores.documents(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    let all = async |revision| documents.extractions(kb, &id, revision, 0..1_000).await.unwrap();
    assert_eq!(all(1).await, []);
    let batch = |orders: std::ops::Range<u32>, text: &str| {
        orders.map(|order| (order, extraction(&format!("{text} {order}")))).collect::<Vec<_>>()
    };
    // Batches arrive in any order, and repeatedly; chunk numbers may differ in their number of digits.
    documents.extractions_put(kb, &id, 1, &batch(8..12, "first")).await.unwrap();
    documents.extractions_put(kb, &id, 1, &batch(0..8, "old")).await.unwrap();
    documents.extractions_put(kb, &id, 1, &batch(0..8, "first")).await.unwrap();
    documents.extractions_put(kb, &id, 1, &[]).await.unwrap();
    documents.extractions_put(kb, &id, 2, &[(0, Extraction::default())]).await.unwrap();
    assert_eq!(all(1).await, batch(0..12, "first"));
    assert_eq!(documents.extractions(kb, &id, 1, 9..11).await.unwrap(), batch(9..11, "first"));
    assert_eq!(all(2).await, [(0, Extraction::default())]);

    let twin = pair.twin.stores.documents();
    assert_eq!(twin.extractions(kb, &id, 1, 0..1_000).await.unwrap(), []);
    twin.extractions_forget(kb, &id, None).await.unwrap();
    documents.extractions_forget(kb, &id, Some(2)).await.unwrap();
    assert_eq!((all(1).await, all(2).await.len()), (vec![], 1));
    documents.extractions_forget(kb, &id, None).await.unwrap();
    assert_eq!(all(2).await, []);
}

/// What is staged is kept beside the text, by revision, and takes its place.
pub(super) async fn staged(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (documents, kb) = (pair.acme.stores.documents(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    let text = |revision: u64, text: &str| ParsedDocument {
        revision,
        title: Some(format!("Title {revision}")),
        // Longer than a store keeps in one piece.
        text: format!("{text} 'é'\n🦀").repeat(500_000),
    };
    let cut = |count: u32, text: &str| {
        let chunk = |order| Chunk { order, tokens: order + 1, content: format!("{text} {order} '€'") };
        (0..count).map(chunk).collect::<Vec<_>>()
    };
    let chunks = async |revision| documents.staged_chunks(kb, &id, revision, 0..u32::MAX).await.unwrap();
    let (old, new) = (text(1, "old"), text(2, "new"));
    assert!(!documents.staged_publish(kb, &id, 1).await.unwrap());
    documents.staged_put(kb, &id, &old, &cut(12, "old")).await.unwrap();
    documents.staged_put(kb, &id, &old, &cut(11, "old")).await.unwrap();
    assert_eq!(documents.parsed(kb, &id).await.unwrap(), None, "nothing of it is served");
    assert_eq!(chunks(1).await, cut(11, "old"));
    assert_eq!(documents.staged_chunks(kb, &id, 1, 8..10).await.unwrap(), cut(11, "old")[8..10]);
    assert!(documents.staged_publish(kb, &id, 1).await.unwrap());
    assert!(documents.staged_publish(kb, &id, 1).await.unwrap(), "again, after an interruption");
    assert_eq!(documents.parsed(kb, &id).await.unwrap(), Some(old.clone()));

    documents.staged_put(kb, &id, &new, &cut(2, "new")).await.unwrap();
    assert_eq!((chunks(1).await, chunks(2).await), (vec![], cut(2, "new")), "those before are gone");
    // A slow job of the revision before takes nothing away.
    documents.staged_put(kb, &id, &old, &cut(3, "old")).await.unwrap();
    assert_eq!((chunks(1).await, chunks(2).await), (cut(3, "old"), cut(2, "new")));
    assert_eq!(documents.parsed(kb, &id).await.unwrap(), Some(old.clone()));
    assert!(documents.staged_publish(kb, &id, 2).await.unwrap());
    assert!(!documents.staged_publish(kb, &id, 1).await.unwrap(), "the later one stays");
    assert_eq!(documents.parsed(kb, &id).await.unwrap(), Some(new));

    let twin = pair.twin.stores.documents();
    assert_eq!(twin.staged_chunks(kb, &id, 2, 0..10).await.unwrap(), []);
    assert!(!twin.staged_publish(kb, &id, 2).await.unwrap());
    twin.staged_forget(kb, &id, None).await.unwrap();
    documents.staged_forget(kb, &id, Some(1)).await.unwrap();
    assert_eq!((chunks(1).await, chunks(2).await), (vec![], cut(2, "new")));
    assert_eq!(documents.staged_chunks(&"archive".parse().unwrap(), &id, 2, 0..10).await.unwrap(), []);
    documents.staged_forget(kb, &id, None).await.unwrap();
    assert_eq!(chunks(2).await, []);
    documents.staged_put(kb, &id, &old, &cut(1, "old")).await.unwrap();
    documents.kb_forget(kb).await.unwrap();
    assert_eq!(chunks(1).await, []);
}

/// Why a chunk gave nothing is kept with it, and chunks are forgotten one by one.
pub(super) async fn failed_chunks(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (documents, kb) = (pair.acme.stores.documents(), &pair.acme.kb.id);
    let id = DocumentId::of_name("a.md");
    let all = async || documents.extractions(kb, &id, 1, 0..1_000).await.unwrap();
    let fault = ChunkFault { code: "content_filtered".into(), detail: "why".into(), retryable: true };
    let failed = Extraction { dropped: 7, fault: Some(fault), ..Extraction::default() };
    let stored = [(0, extraction("first")), (900, failed.clone()), (901, failed)];
    documents.extractions_put(kb, &id, 1, &stored).await.unwrap();
    assert_eq!(all().await, stored);
    pair.twin.stores.documents().chunks_forget(kb, &id, 1, &[0, 900]).await.unwrap();
    documents.chunks_forget(kb, &id, 2, &[0, 900]).await.unwrap();
    documents.chunks_forget(kb, &DocumentId::of_name("b.md"), 1, &[0, 900]).await.unwrap();
    documents.chunks_forget(kb, &id, 1, &[]).await.unwrap();
    assert_eq!(all().await, stored);
    documents.chunks_forget(kb, &id, 1, &[900, 901, 902]).await.unwrap();
    assert_eq!(all().await, stored[..1]);
}
