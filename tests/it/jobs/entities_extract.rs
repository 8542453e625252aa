use jobs::DocumentId;
use jobs::types::ExtractEntities;
use tests::bed::{Bed, Snapshot};
use tests::texts;

fn extract(name: &str, first: u32, count: u32) -> ExtractEntities {
    ExtractEntities { document_id: DocumentId::of_name(name), revision: 1, first, count }
}

#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    let snapshot = Snapshot::of(bed.stores(), &acme.id).await;
    for (order, extraction) in &snapshot.documents[0].extractions {
        assert!(extraction.entities.len() >= 2, "chunk {order}: {extraction:?}");
        assert!(!extraction.relations.is_empty(), "chunk {order}: {extraction:?}");
    }
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &extract("heron.md", 0, 100)).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    for job in [extract("never-uploaded.md", 0, 8), extract("heron.md", 1000, 8)] {
        let job = bed.push(&acme, &job).await;
        assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    }
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    let again = bed.push(&acme, &extract("heron.md", 0, 8)).await;
    bed.ended(&acme, again).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
}
