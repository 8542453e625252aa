use std::sync::Arc;
use std::time::Duration;

use jobs::clock::{Clock as _, ManualClock, SystemClock};
use jobs::tenant::{KbId, TenantContext};
use jobs::types::DeleteDocuments;
use jobs::{DocumentId, JobId};
use serde_json::{Value, json};
use stores::TenantStores;
use stores::model::{DocumentSelection, DocumentStatus, GraphCounts};
use tests::bed::{Answer, Bed, Snapshot, TestTenant};
use tests::texts;
use tests::wait::wait_for;

fn ids(names: &[&str]) -> Vec<DocumentId> {
    names.iter().map(|name| DocumentId::of_name(name)).collect()
}

async fn delete(tenant: &TestTenant, body: &Value) -> Answer {
    tenant.http.post(&tenant.kb("documents/delete"), body).await
}

async fn empty(tenant: &TestTenant) -> Answer {
    tenant.http.post(&tenant.kb("empty"), &json!({})).await
}

fn stores(bed: &Bed, tenant: &TestTenant) -> TenantStores {
    bed.stores().scoped(&TenantContext::for_tests(&tenant.id))
}

/// A list as the API writes it, for a job that is pushed past the API.
async fn list(bed: &Bed, tenant: &TestTenant, selection: &DocumentSelection) -> DeleteDocuments {
    let (list, now) = (JobId::generate(SystemClock.now()), SystemClock.now());
    let catalog = stores(bed, tenant).catalog();
    catalog.deletion_list_put(&KbId::first(), list, selection, now).await.unwrap();
    DeleteDocuments { list }
}

/// The result is the same as if the documents had never been uploaded.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    for name in ["heron.md", "kestrel.md", "lantern.md", "nightjar.md"] {
        acme.ingest(name, &texts::long(name)).await;
    }
    for name in ["heron.md", "kestrel.md"] {
        other.ingest(name, &texts::long(name)).await;
    }
    let gone = ids(&["lantern.md", "never.md", "nightjar.md"]);
    let answer = delete(&acme, &json!({ "ids": gone })).await;
    assert_eq!((answer.status, &answer.body["documents"]), (202, &json!(2)), "{answer:?}");
    let job = answer.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    bed.run_until_empty(&acme).await;
    let (left, never) =
        (Snapshot::of(bed.stores(), &acme.id).await, Snapshot::of(bed.stores(), &other.id).await);
    assert_eq!(left, never);

    let answer = empty(&acme).await;
    assert_eq!((answer.status, &answer.body["documents"]), (202, &json!(2)), "{answer:?}");
    bed.run_until_empty(&acme).await;
    let stores = stores(&bed, &acme);
    let kb = stores.catalog().kb(&KbId::first()).await.unwrap().expect("the knowledge base stays");
    assert_eq!(stores.index().counts(&kb).await.unwrap(), GraphCounts::default());
    assert_eq!(stores.catalog().usage(SystemClock.now()).await.unwrap().documents, 0);
    for id in ids(&["heron.md", "kestrel.md"]) {
        assert_eq!(stores.blobs().originals(&kb.id, &id).await.unwrap(), []);
        assert_eq!(stores.documents().parsed(&kb.id, &id).await.unwrap(), None);
    }
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
}

/// More documents than one job takes.
#[tokio::test]
async fn a_long_list_is_worked_off_by_a_chain_of_jobs() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    // Held back, so that no worker reads what is about to be deleted.
    assert_eq!(
        acme.http
            .post(&format!("/api/v1/tenants/{}/queues/documents/pause", acme.id), &json!({}))
            .await
            .status,
        200
    );
    let documents = |from: u32| -> Vec<Value> {
        (from..from + 100).map(|number| json!({ "name": format!("{number}.txt"), "text": "x" })).collect()
    };
    for from in [0, 100] {
        let batch =
            acme.http.post(&acme.kb("documents/batch"), &json!({ "documents": documents(from) })).await;
        assert_eq!(batch.status, 202, "{batch:?}");
    }
    assert_eq!(acme.upload("last.txt", "x").await.status, 202);
    let answer = delete(&acme, &json!({ "status": "pending" })).await;
    assert_eq!(answer.body["documents"], 201, "{answer:?}");
    wait_for("the documents to be gone", async || {
        let page = acme.http.get(&acme.kb("documents?limit=1")).await;
        if page.body["documents"] == json!([]) { Ok(()) } else { Err(page) }
    })
    .await;
    let list = answer.body["job_id"].as_str().unwrap().parse().unwrap();
    let catalog = stores(&bed, &acme).catalog();
    // Its last job forgets the last of it after the documents are gone.
    wait_for("the list to be worked off", async || {
        let left = catalog.deletion_list(&KbId::first(), list, 1).await.unwrap();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    for name in ["heron.md", "kestrel.md"] {
        acme.ingest(name, &texts::short(name)).await;
    }
    let job = list(&bed, &acme, &DocumentSelection::Ids(ids(&["heron.md"]))).await;
    let first = bed.push(&acme, &job).await;
    assert_eq!(bed.ended(&acme, first).await["state"], "completed");
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    assert_eq!(once.documents.len(), 1);
    let again = bed.push(&acme, &job).await;
    assert_eq!(bed.ended(&acme, again).await["state"], "completed");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);

    // The same request once more is the same job, and another one finds less.
    let body = json!({ "status": "processed" });
    let send = async |key: &str| {
        let request = acme.http.request(reqwest::Method::POST, &acme.kb("documents/delete"));
        tests::bed::send(request.header("idempotency-key", key).json(&body)).await
    };
    let (one, two) = (send("k").await, send("k").await);
    assert_eq!((one.status, one.body), (two.status, two.body));
    bed.run_until_empty(&acme).await;
    assert_eq!(send("l").await.body["documents"], 0);
}

#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    acme.ingest("kestrel.md", &texts::short("Nightjar")).await;
    let job = list(&bed, &acme, &DocumentSelection::All).await;
    // One is gone when the job begins, and the other was uploaded again: it stays.
    let path = acme.kb(&format!("documents/{}", DocumentId::of_name("heron.md")));
    assert_eq!(tests::bed::send(acme.http.request(reqwest::Method::DELETE, &path)).await.status, 202);
    bed.run_until_empty(&acme).await;
    acme.ingest("kestrel.md", &texts::short("Quietwater")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let job = bed.push(&acme, &job).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    let unknown = DeleteDocuments { list: JobId::generate(SystemClock.now()) };
    let unknown = bed.push(&acme, &unknown).await;
    assert_eq!(bed.ended(&acme, unknown).await["state"], "completed");
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    for tenant in [&acme, &other] {
        tenant.ingest("heron.md", &texts::short("Bluebird")).await;
    }
    let before = Snapshot::of(bed.stores(), &other.id).await;
    let theirs = list(&bed, &other, &DocumentSelection::InStatus(DocumentStatus::Processed)).await;
    assert_eq!(empty(&acme).await.status, 202);
    // A list of the other tenant's means nothing here.
    let job = bed.push(&acme, &theirs).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
    assert_eq!(
        stores(&bed, &other).catalog().deletion_list(&KbId::first(), theirs.list, 9).await.unwrap().len(),
        1
    );
    assert_eq!(acme.document("heron.md").await.status, 404);
}

/// Permissions are checked again when the job runs.
#[tokio::test]
async fn a_queued_deletion_of_a_key_that_ended_does_not_happen() {
    let clock = ManualClock::at("2026-01-15T08:00:00Z".parse().unwrap());
    let bed = Bed::embedded_at(Arc::new(clock.clone())).await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let tenant = format!("/api/v1/tenants/{}", acme.id);
    let new = json!({ "name": "cleaner", "role": "EDITOR", "expires_at": "2026-01-15T09:00:00Z" });
    let key = acme.http.post(&format!("{tenant}/api-keys"), &new).await;
    let cleaner = tests::bed::Http::new(&bed.url(), key.body["api_key"].as_str().unwrap());
    assert_eq!(acme.http.post(&format!("{tenant}/jobs/pause"), &Value::Null).await.status, 200);
    let answer = cleaner.post(&acme.kb("empty"), &json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(acme.http.post(&format!("{tenant}/jobs/resume"), &Value::Null).await.status, 200);
    let job = answer.body["job_id"].as_str().unwrap().to_owned();
    let ended = wait_for("the deletion to be refused", async || {
        let shown = acme.http.get(&format!("{tenant}/jobs/{job}")).await;
        if shown.body["state"] == "discarded" { Ok(shown.body) } else { Err(shown) }
    })
    .await;
    assert_eq!(ended["error"]["code"], json!("actor_forbidden"), "{ended}");
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
}
