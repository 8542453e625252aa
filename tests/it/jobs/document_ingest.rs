use jobs::DocumentId;
use jobs::tenant::{KbId, TenantContext};
use jobs::types::IngestDocument;
use reqwest::Method;
use serde_json::{Value, json};
use tests::bed::{Bed, Snapshot, TestTenant, send};
use tests::texts;
use tests::wait::wait_for;

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

/// Uploading a name again replaces the document: facts that only the old text had leave the graph.
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

/// Data derived from a document counts towards the quota like its original, and is refused before it is stored.
#[tokio::test]
async fn what_is_made_of_a_document_counts() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let path = format!("/api/v1/tenants/{}", acme.id);
    let limit = async |bytes: Option<usize>| {
        let body = json!({ "limits": { "storage_bytes": bytes } });
        let answer = send(bed.operator().request(Method::PATCH, &path).json(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let text = texts::long("Bluebird");
    limit(Some(text.len() + 100)).await;
    assert_eq!(acme.upload("heron.md", &text).await.status, 202);
    let failed = acme.settled("heron.md").await;
    assert_eq!(failed["error"]["code"], "storage_limit_reached", "{failed}");
    let usage = acme.http.get(&format!("{path}/usage")).await.body;
    assert_eq!(usage["quotas"]["storage_bytes"]["current"], text.len(), "{usage}");
    let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
    let parsed = stores.documents().parsed(&KbId::first(), &DocumentId::of_name("heron.md")).await;
    assert_eq!(parsed.unwrap(), None);

    limit(None).await;
    let reindex = send(acme.http.request(Method::POST, &acme.kb("reindex"))).await;
    assert_eq!(reindex.status, 202, "{reindex:?}");
    wait_for("the document to be processed", async || {
        let answer = acme.document("heron.md").await;
        if answer.body["status"] == "processed" { Ok(()) } else { Err(answer) }
    })
    .await;
    let usage = acme.http.get(&format!("{path}/usage")).await.body;
    let derived = usage["derived_bytes"].as_u64().unwrap();
    assert!(derived > 2 * text.len() as u64, "text and chunks: {usage}");
    assert_eq!(usage["quotas"]["storage_bytes"]["current"], derived + text.len() as u64);
}

/// Goal: who waits for a document sees which of its jobs failed, with what, and when it is tried again. Method: the
/// original is gone when the job begins, which may pass.
#[tokio::test]
async fn a_document_names_the_job_that_it_waits_for() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let queue = format!("/api/v1/tenants/{}/queues/documents", acme.id);
    assert_eq!(acme.http.post(&format!("{queue}/pause"), &json!({})).await.status, 200);
    let job = acme.upload("heron.md", &texts::short("Bluebird")).await.body["job_id"].clone();
    let waits_for = acme.document("heron.md").await.body["waits_for"].clone();
    assert_eq!((&waits_for["job_id"], &waits_for["state"]), (&job, &json!("available")), "{waits_for}");
    assert_eq!(waits_for["reasons"][0]["code"], "tenant_queue_paused", "{waits_for}");
    let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
    let id = DocumentId::of_name("heron.md");
    stores.blobs().originals_forget(&KbId::first(), &id, None).await.unwrap();
    assert_eq!(acme.http.post(&format!("{queue}/resume"), &json!({})).await.status, 200);
    let waits_for = wait_for("the job to have failed", async || {
        let waits_for = acme.document("heron.md").await.body["waits_for"].clone();
        if waits_for["state"] == "retryable" { Ok(waits_for) } else { Err(waits_for) }
    })
    .await;
    assert_eq!((&waits_for["job_id"], &waits_for["type"]), (&job, &json!("document.ingest")), "{waits_for}");
    assert!(waits_for["due_at"].is_string() && waits_for["attempts"].as_u64() >= Some(1), "{waits_for}");
    assert!(waits_for["error"].to_string().contains("original is not there"), "{waits_for}");
    let document = acme.settled("heron.md").await;
    assert_eq!(
        (&document["error"]["code"], &document["waits_for"]),
        (&json!("original_missing"), &Value::Null)
    );
}
