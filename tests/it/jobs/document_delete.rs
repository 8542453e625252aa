use std::sync::Arc;
use std::time::Duration;

use jobs::DocumentId;
use jobs::clock::{Clock as _, ManualClock, SystemClock};
use jobs::tenant::{KbId, Role, TenantContext};
use jobs::types::{BuildGraph, DeleteDocument, ExtractEntities, IngestDocument};
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::{GraphCounts, NewApiKey};
use tests::bed::{Answer, Bed, Http, Snapshot, TestTenant, send, servers};
use tests::texts;
use tests::wait::wait_for;

fn deletion(name: &str, revision: u64) -> DeleteDocument {
    DeleteDocument { document_id: DocumentId::of_name(name), revision }
}

async fn delete(tenant: &TestTenant, http: &Http, name: &str) -> Answer {
    let path = tenant.kb(&format!("documents/{}", DocumentId::of_name(name)));
    send(http.request(Method::DELETE, &path)).await
}

/// Nothing of a document that was the only one is in any store.
async fn assert_nothing_left(bed: &Bed, tenant: &TestTenant, name: &str) {
    let stores = bed.stores().scoped(&TenantContext::for_tests(&tenant.id));
    let (kb, id) = (KbId::first(), DocumentId::of_name(name));
    let found = stores.catalog().kb(&kb).await.unwrap().unwrap();
    assert_eq!(stores.catalog().usage(SystemClock.now()).await.unwrap().documents, 0);
    assert_eq!(stores.index().counts(&found).await.unwrap(), GraphCounts::default());
    assert_eq!(stores.documents().parsed(&kb, &id).await.unwrap(), None);
    for revision in 0..4 {
        assert_eq!(stores.documents().extractions(&kb, &id, revision, 0..1_000).await.unwrap(), []);
    }
    assert_eq!(stores.blobs().originals(&kb, &id).await.unwrap(), []);
}

/// The result is the same as if the document had never been uploaded.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    for name in ["heron.md", "kestrel.md"] {
        acme.ingest(name, &texts::long(name)).await;
    }
    other.ingest("kestrel.md", &texts::long("kestrel.md")).await;
    let answer = delete(&acme, &acme.http, "heron.md").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    bed.run_until_empty(&acme).await;
    assert_eq!(acme.document("heron.md").await.status, 404);
    assert_eq!(delete(&acme, &acme.http, "heron.md").await.status, 404);
    let (left, never) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(left, never);
    delete(&acme, &acme.http, "kestrel.md").await;
    bed.run_until_empty(&acme).await;
    assert_nothing_left(&bed, &acme, "kestrel.md").await;
}

/// Neither the tenant's file nor the catalog holds a byte of its text or name, in free pages or in logs.
#[tokio::test]
async fn its_text_is_in_no_part_of_a_file() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("kept.md", &texts::long("Nightjar")).await;
    acme.ingest("Larkspur.md", &texts::long("Quietwater")).await;
    assert!(!bed.files_with("Quietwater").is_empty() && !bed.files_with("Larkspur").is_empty());
    delete(&acme, &acme.http, "Larkspur.md").await;
    bed.run_until_empty(&acme).await;
    bed.word_is_gone("Quietwater").await;
    bed.word_is_gone("Larkspur").await;
    assert!(!bed.files_with("Nightjar").is_empty());
}

/// Not even in the answer that is stored under an `Idempotency-Key`, which stays the same after the deletion.
#[tokio::test]
async fn its_name_is_in_no_stored_answer() {
    let embedded = Bed::embedded().await;
    for bed in [&embedded, servers().await] {
        let (acme, _) = bed.look_alikes().await;
        let documents = ["Larkspur.md", "kept.md"].map(|name| json!({ "name": name, "text": "Text." }));
        let upload = || {
            let request = acme.http.request(Method::POST, &acme.kb("documents/batch"));
            send(request.header("idempotency-key", "batch").json(&json!({ "documents": documents })))
        };
        let first = upload().await;
        assert_eq!((first.status, &first.body["documents"][0]["name"]), (202, &json!("Larkspur.md")));
        let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
        let stored = stores.catalog().replay("batch").await.unwrap().unwrap();
        assert!(!stored.body.to_string().contains(".md"), "{stored:?}");

        acme.settled("Larkspur.md").await;
        assert_eq!(delete(&acme, &acme.http, "Larkspur.md").await.status, 202);
        bed.run_until_empty(&acme).await;
        bed.word_is_gone("Larkspur").await;
        let again = upload().await;
        assert_eq!((again.status, again.body), (202, first.body));
        assert_eq!(acme.document("Larkspur.md").await.status, 404, "it was not uploaded again");
    }
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    acme.ingest("kestrel.md", &texts::short("Nightjar")).await;
    let first = bed.push(&acme, &deletion("heron.md", 1)).await;
    assert_eq!(bed.ended(&acme, first).await["state"], "completed");
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &deletion("heron.md", 1)).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
    assert_eq!(once.documents.len(), 1);
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &deletion("never-uploaded.md", 1)).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    let job = bed.push(&acme, &deletion("heron.md", 1)).await;
    bed.ended(&acme, job).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
    assert_nothing_left(&bed, &acme, "heron.md").await;
}

/// Only the revision at the time of the request is deleted.
#[tokio::test]
async fn a_later_upload_stays() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    assert_eq!(acme.upload("heron.md", &texts::short("Nightjar")).await.status, 202);
    let job = bed.push(&acme, &deletion("heron.md", 1)).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    bed.run_until_empty(&acme).await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let (kept, fresh) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(kept, fresh);
}

/// Goal: no job of a deleted document takes a later upload of the same name for it.
/// Method: the deletion's own job, once more.
#[tokio::test]
async fn what_is_uploaded_again_afterwards_stays() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let first = bed.push(&acme, &deletion("heron.md", 1)).await;
    assert_eq!(bed.ended(&acme, first).await["state"], "completed");
    acme.ingest("heron.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let again = bed.push(&acme, &deletion("heron.md", 1)).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(acme.document("heron.md").await.status, 200);
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
}

/// Deleted while it is being ingested, and then each step of the ingest comes late: nothing comes back.
#[tokio::test]
async fn an_ingest_on_its_way_brings_nothing_back() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    assert_eq!(acme.upload("heron.md", &texts::long("Bluebird")).await.status, 202);
    assert_eq!(delete(&acme, &acme.http, "heron.md").await.status, 202);
    bed.run_until_empty(&acme).await;
    assert_nothing_left(&bed, &acme, "heron.md").await;
    let (document_id, revision) = (DocumentId::of_name("heron.md"), 1);
    let extract = ExtractEntities { document_id: document_id.clone(), revision, first: 0, count: 8 };
    let late = [
        bed.push(&acme, &IngestDocument { document_id: document_id.clone(), revision }).await,
        bed.push(&acme, &extract).await,
        bed.push(&acme, &BuildGraph::of(document_id, revision)).await,
    ];
    for job in late {
        assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    }
    assert_nothing_left(&bed, &acme, "heron.md").await;
    acme.ingest("heron.md", &texts::long("Bluebird")).await;
}

/// Goal: a job may do what its actor may do when it runs, not when it was asked for.
/// Method: an editor's key that ends while its delete waits.
#[tokio::test]
async fn a_queued_delete_of_somebody_who_may_no_longer_does_not_happen() {
    let clock = ManualClock::at("2026-01-15T08:00:00Z".parse().unwrap());
    let bed = Bed::embedded_at(Arc::new(clock.clone())).await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let editor = editor(&bed, &acme, "2026-01-15T09:00:00Z").await;
    let jobs = format!("/api/v1/tenants/{}/jobs", acme.id);
    assert_eq!(acme.http.post(&format!("{jobs}/pause"), &Value::Null).await.status, 200);
    let answer = delete(&acme, &editor, "heron.md").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(acme.http.post(&format!("{jobs}/resume"), &Value::Null).await.status, 200);
    let job = answer.body["job_id"].as_str().unwrap().to_owned();
    let ended = wait_for("the delete to be refused", async || {
        let shown = acme.http.get(&format!("{jobs}/{job}")).await;
        if shown.body["state"] == "discarded" { Ok(shown.body) } else { Err(shown) }
    })
    .await;
    assert_eq!(ended["error"]["code"], json!("actor_forbidden"), "{ended}");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    assert_eq!(acme.document("heron.md").await.body["status"], "processed");
}

/// A key of an editor that ends at a moment.
async fn editor(bed: &Bed, tenant: &TestTenant, ends: &str) -> Http {
    let secret = "s".repeat(43);
    let key: api_thin::auth::ApiKey = format!("tk_{}_editor00_{secret}", tenant.id).parse().unwrap();
    let new = NewApiKey {
        id: key.id.clone(),
        name: "editor".into(),
        secret_sha256: key.secret_hash().to_hex(),
        role: Role::Editor,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: Some(ends.parse().unwrap()),
    };
    let stores = bed.stores().scoped(&TenantContext::for_tests(&tenant.id));
    stores.catalog().api_key_ensure(&new, "2026-01-15T08:00:00Z".parse().unwrap()).await.unwrap();
    Http::new(&bed.url(), &format!("tk_{}_editor00_{secret}", tenant.id))
}
