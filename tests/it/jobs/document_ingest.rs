use jobs::DocumentId;
use jobs::types::IngestDocument;
use tests::bed::{Bed, Snapshot};
use tests::texts;

fn ingest(name: &str) -> IngestDocument {
    IngestDocument { document_id: DocumentId::of_name(name), revision: 1 }
}

#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    let snapshot = Snapshot::of(bed.stores(), &acme.id).await;
    let [document] = snapshot.documents.as_slice() else { panic!("{snapshot:?}") };
    assert!(document.chunks.len() > 1, "a long document has several chunks");
    assert_eq!(document.extractions.len(), document.chunks.len());
    assert_eq!(document.counts.entities as usize, snapshot.entities.len());
    assert_eq!(document.counts.relations as usize, snapshot.relations.len());
    assert!(snapshot.entities.iter().any(|entity| entity.name == "Ada Okafor"), "{:?}", snapshot.entities);
    assert!(document.text.as_ref().is_some_and(|text| text.contains("Bluebird")));
}

/// Goal: delivery is at least once, the effect is once.
/// Method: the same job once more after everything was done, and compare everything.
#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &ingest("heron.md")).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &ingest("never-uploaded.md")).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    assert!(Snapshot::of(bed.stores(), &acme.id).await.documents.is_empty());
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let again = bed.push(&acme, &ingest("heron.md")).await;
    bed.ended(&acme, again).await;
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
}

/// A document that cannot be parsed ends `failed`, says why, and its siblings go on.
#[tokio::test]
async fn a_document_without_text_fails_alone() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let html = b"<html><head><title></title><script>let x = 1;</script></head><body> </body></html>";
    assert_eq!(acme.upload_file("hollow.html", "text/html", html).await.status, 202);
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let hollow = acme.settled("hollow.html").await;
    assert_eq!(hollow["status"], "failed", "{hollow}");
    assert_eq!(hollow["error"]["code"], "empty_document", "{hollow}");
    assert!(hollow["error"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    bed.run_until_empty(&acme).await;
}

/// Uploading a name again replaces the document: what only the old text said leaves the graph.
#[tokio::test]
async fn a_new_upload_replaces_the_old_one() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
    assert_eq!(acme.upload("heron.md", &texts::short("Nightjar")).await.status, 202);
    bed.run_until_empty(&acme).await;
    assert_eq!(acme.settled("heron.md").await["status"], "processed");
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let (replaced, fresh) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(replaced, fresh);
}
