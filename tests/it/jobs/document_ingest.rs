use jobs::DocumentId;
use jobs::types::IngestDocument;
use serde_json::json;
use tests::bed::{Bed, Snapshot, TestTenant, send};
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

/// Each tenant's documents are cut as that tenant wants, from the next reading on.
#[tokio::test]
async fn chunks_are_as_large_as_the_tenant_wants() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    let change = async |settings: serde_json::Value| {
        let path = format!("/api/v1/tenants/{}/settings", acme.id);
        send(acme.http.request(reqwest::Method::PATCH, &path).json(&settings)).await
    };
    let chunks = async |tenant: &TestTenant| {
        let snapshot = Snapshot::of(bed.stores(), &tenant.id).await;
        snapshot.documents[0].chunks.iter().map(|chunk| chunk.tokens).collect::<Vec<_>>()
    };
    let text = texts::long("Bluebird");
    for tenant in [&acme, &other] {
        tenant.ingest("heron.md", &text).await;
    }
    let usual = chunks(&acme).await;
    assert_eq!(usual[0], 1_200);
    let refused = change(json!({ "chunk_size_tokens": 100, "chunk_overlap_tokens": 100 })).await;
    assert_eq!((refused.status, &refused.body["field"]), (400, &json!("chunk_overlap_tokens")));
    let changed = change(json!({ "chunk_size_tokens": 200, "chunk_overlap_tokens": 0 })).await;
    assert_eq!((changed.status, &changed.body["top_k"]), (200, &json!(40)), "{changed:?}");
    assert_eq!(chunks(&acme).await, usual, "what is there stays");
    for tenant in [&acme, &other] {
        tenant.ingest("heron.md", &text).await;
    }
    let small = chunks(&acme).await;
    assert!(small.len() > usual.len() && small[..small.len() - 1].iter().all(|tokens| *tokens == 200));
    assert_eq!(chunks(&other).await, usual);
}
