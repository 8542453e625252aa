use std::fs;

use jobs::DocumentId;
use jobs::tenant::TenantContext;
use jobs::types::{DeprovisionTenant, IngestDocument};
use redis::AsyncCommands;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use tests::bed::{Answer, Bed, Snapshot, TestTenant, send};
use tests::texts;
use tests::wait::wait_for;
use walkdir::WalkDir;

async fn delete(bed: &Bed, tenant: &TestTenant) -> Answer {
    send(bed.operator().request(Method::DELETE, &format!("/api/v1/tenants/{}", tenant.id))).await
}

/// Waits until the operator does not find the tenant any more.
async fn gone(bed: &Bed, tenant: &TestTenant) {
    let path = format!("/api/v1/tenants/{}", tenant.id);
    wait_for("the tenant to be gone", async || {
        let answer = bed.operator().get(&path).await;
        if answer.status == 404 { Ok(()) } else { Err(answer) }
    })
    .await;
    bed.run_until_empty(tenant).await;
}

/// Files and directories below the data directory whose path or content holds `word`, but for the catalog, which
/// keeps deleted rows in free pages. The longer of two look-alike ids is told from the other, not the shorter.
fn found(bed: &Bed, word: &str) -> Vec<String> {
    let entries = WalkDir::new(bed.data_dir()).into_iter().filter_map(Result::ok);
    let held = entries.filter(|entry| {
        let path = entry.path().to_string_lossy().replace(['.', '/'], " ");
        let content = if entry.file_type().is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
        let catalog = entry.file_name().to_string_lossy().starts_with("catalog.db");
        path.split(' ').any(|part| part == word)
            || (!catalog && String::from_utf8_lossy(&content).contains(word))
    });
    held.map(|entry| entry.path().display().to_string()).collect()
}

/// Closed at once, emptied soon: no file and no key is left, and its id stays reserved.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (_, acme) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::long("Quietwater")).await;
    assert_eq!(acme.upload("kestrel.md", &texts::long("Quietwater")).await.status, 202);
    assert!(!found(&bed, &acme.id).is_empty() && !found(&bed, "Quietwater").is_empty());
    let answer = delete(&bed, &acme).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    for path in ["", "/kbs", "/jobs", "/limits"] {
        let path = format!("/api/v1/tenants/{}{path}", acme.id);
        // Once the key is deleted it authenticates no caller.
        assert!(matches!(acme.http.get(&path).await.status, 401 | 404), "{path}");
    }
    gone(&bed, &acme).await;
    assert_eq!(found(&bed, &acme.id), Vec::<String>::new());
    assert_eq!(found(&bed, "Quietwater"), Vec::<String>::new());
    let client = redis::Client::open(bed.redis_url().expose_secret()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis.keys(format!("t:{}:*", acme.id)).await.unwrap();
    assert_eq!(keys, Vec::<String>::new());
    let again = bed.operator().post("/api/v1/tenants", &json!({ "id": acme.id, "name": "Again" })).await;
    assert_eq!((again.status, again.body["code"].as_str()), (409, Some("tenant_exists")), "{again:?}");
}

/// Names and texts are in no part of a file: not in free pages of the catalog, nor in its log.
#[tokio::test]
async fn its_names_are_in_no_part_of_a_file() {
    let bed = Bed::embedded().await;
    let (_, acme) = bed.look_alikes().await;
    let path = |rest: &str| format!("/api/v1/tenants/{}/{rest}", acme.id);
    let kb = acme.http.post(&path("kbs"), &json!({ "kb_id": "papers", "name": "Larkspur papers" })).await;
    let key = acme.http.post(&path("api-keys"), &json!({ "name": "Larkspur key", "role": "VIEWER" })).await;
    assert_eq!((kb.status, key.status), (201, 201), "{kb:?} {key:?}");
    acme.ingest("Larkspur.md", &texts::long("Larkspur")).await;
    assert!(bed.files_with("Larkspur").len() >= 3);
    assert_eq!(delete(&bed, &acme).await.status, 202);
    gone(&bed, &acme).await;
    bed.word_is_gone("Larkspur").await;
}

/// A job that is delivered once more finds nothing to do.
#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (_, acme) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    assert_eq!(delete(&bed, &acme).await.status, 202);
    // Asked once more before it is done it starts once more; afterwards there is nothing to ask about.
    assert!(matches!(delete(&bed, &acme).await.status, 202 | 404));
    gone(&bed, &acme).await;
    assert_eq!(delete(&bed, &acme).await.status, 404);
    assert_eq!(found(&bed, &acme.id), Vec::<String>::new());
}

/// A late job of the tenant is dropped: it was cancelled.
#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (_, acme) = bed.look_alikes().await;
    assert_eq!(delete(&bed, &acme).await.status, 202);
    gone(&bed, &acme).await;
    bed.push(&acme, &DeprovisionTenant::default()).await;
    bed.push(&acme, &IngestDocument { document_id: DocumentId::of_name("heron.md"), revision: 1 }).await;
    bed.run_until_empty(&acme).await;
    let stats = bed.queue().stats(&acme.id.parse().unwrap()).await.unwrap();
    assert_eq!((stats.quarantined, stats.discarded), (0, 0), "{stats:?}");
    assert_eq!(found(&bed, &acme.id), Vec::<String>::new());
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &other.id).await;
    assert_eq!(delete(&bed, &acme).await.status, 202);
    gone(&bed, &acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &other.id).await, before);
    other.ingest("kestrel.md", &texts::short("Nightjar")).await;
}

/// A job without a request does not run while the tenant is in use.
#[tokio::test]
async fn a_tenant_in_use_is_not_emptied() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let job = bed.push(&acme, &DeprovisionTenant::default()).await;
    let id = acme.id.parse().unwrap();
    wait_for("the job to be parked", async || {
        let status = bed.queue().lookup(&id, job).await.map_err(|error| error.to_string())?;
        let parked =
            status.as_ref().is_some_and(|status| !matches!(status.state.as_str(), "available" | "active"));
        if parked { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
    assert!(!stores.lifecycle().tenant_delete("2026-01-15T08:00:00Z".parse().unwrap()).await.unwrap());
}
