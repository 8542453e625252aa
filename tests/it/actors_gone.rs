//! Who queued a job may not do it any more when its turn comes.

use jobs::types::ReindexKb;
use reqwest::Method;
use serde_json::json;
use tests::bed::{Bed, Http, TestTenant, send};

/// Nothing of the tenant starts.
async fn paused(tenant: &TestTenant) {
    let path = format!("/api/v1/tenants/{}/jobs/pause", tenant.id);
    assert_eq!(tenant.http.post(&path, &json!({})).await.status, 200);
}

async fn resumed(tenant: &TestTenant) {
    let path = format!("/api/v1/tenants/{}/jobs/resume", tenant.id);
    assert_eq!(tenant.http.post(&path, &json!({})).await.status, 200);
}

#[tokio::test]
async fn what_a_removed_member_queued_does_not_run() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    // Jobs that are pushed past the API are those of the user `test`.
    for tenant in [&acme, &twin] {
        let members = format!("/api/v1/tenants/{}/members", tenant.id);
        let new = json!({ "subject": "test", "role": "EDITOR" });
        assert_eq!(tenant.http.post(&members, &new).await.status, 201);
    }
    paused(&acme).await;
    let queued = bed.push(&acme, &ReindexKb::default()).await;
    let member = format!("/api/v1/tenants/{}/members/test", acme.id);
    assert_eq!(send(acme.http.request(Method::DELETE, &member)).await.status, 204);
    resumed(&acme).await;
    let ended = bed.ended(&acme, queued).await;
    assert_eq!(ended["state"], "discarded", "{ended}");
    assert_eq!(ended["error"]["code"], "actor_forbidden", "{ended}");
    // The look-alike's member of the same name goes on.
    let theirs = bed.push(&twin, &ReindexKb::default()).await;
    assert_eq!(bed.ended(&twin, theirs).await["state"], "completed");
}

#[tokio::test]
async fn what_a_revoked_key_queued_does_not_run() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let keys = format!("/api/v1/tenants/{}/api-keys", acme.id);
    let made = acme.http.post(&keys, &json!({ "name": "importer", "kb_id": "default" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (key, id) = (made.body["api_key"].as_str().unwrap(), made.body["id"].as_str().unwrap());
    let importer = Http::new(&bed.url(), key);
    let first = importer.post(&acme.kb("reindex"), &json!({})).await;
    let first = first.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(bed.ended(&acme, first).await["state"], "completed", "the key may do it while it works");

    paused(&acme).await;
    let queued = importer.post(&acme.kb("reindex"), &json!({})).await;
    let queued = queued.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(send(acme.http.request(Method::DELETE, &format!("{keys}/{id}"))).await.status, 204);
    resumed(&acme).await;
    let ended = bed.ended(&acme, queued).await;
    assert_eq!(ended["state"], "discarded", "{ended}");
    assert_eq!(ended["error"]["code"], "actor_forbidden", "{ended}");
}
