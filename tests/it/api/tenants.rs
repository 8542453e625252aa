use jobs::JobKind;
use jobs::tenant::TenantStatus;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, Reply, Written, problem, send};

async fn create(api: &Api, key: Option<&str>, body: &Value) -> Reply {
    let request = api.operator(Method::POST, "/api/v1/tenants").json(body);
    send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

#[tokio::test]
async fn a_new_tenant_gets_a_job_and_a_key() {
    let api = Api::start().await;
    let reply = create(&api, None, &json!({ "id": "acme", "name": "Acme" })).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("location"), "/api/v1/tenants/acme");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.body()["tenant"]["status"], "provisioning");
    let job = format!("/api/v1/tenants/acme/jobs/{}", reply.text("/job_id"));
    let view = send(api.operator(Method::GET, &job)).await.body();
    assert_eq!(view["type"], JobKind::ProvisionTenant.as_str());
    assert_eq!(view["state"], "available");
    // The key is of no use yet, but it is known: its holder is told to wait, not that it is wrong.
    let key = reply.text("/api_key");
    let early = api.request(Method::GET, "/api/v1/tenants/acme/kbs/default/documents").bearer_auth(&key);
    let early = send(early).await;
    problem(&early, 409, "tenant_not_ready");
    assert!(early.header("retry-after").parse::<u32>().is_ok());
    let shown = send(api.request(Method::GET, "/api/v1/tenants/acme").bearer_auth(&key)).await;
    assert_eq!(shown.text("/status"), "provisioning");
    assert_eq!(api.outbox_len().await, 0);
}

#[tokio::test]
async fn the_same_request_shows_the_same_key_again() {
    let api = Api::start().await;
    let body = json!({ "id": "acme", "name": "Acme" });
    let first = create(&api, Some("k"), &body).await;
    let again = create(&api, Some("k"), &body).await;
    assert_eq!((first.status, first.bytes == again.bytes), (202, true), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    let other = create(&api, Some("k"), &json!({ "id": "acme", "name": "Other" })).await;
    problem(&other, 422, "idempotency_key_reused");
    problem(&create(&api, Some("k2"), &body).await, 409, "tenant_exists");
    problem(&create(&api, None, &body).await, 409, "tenant_exists");
    assert_eq!(api.queued("acme").await["open"], 1);
}

#[tokio::test]
async fn a_tenant_without_an_id_gets_one() {
    let api = Api::start().await;
    let body = json!({ "name": "Acme" });
    let (one, two) = (create(&api, None, &body).await, create(&api, None, &body).await);
    assert_ne!(one.text("/tenant/id"), two.text("/tenant/id"));
    let (first, again) = (create(&api, Some("k"), &body).await, create(&api, Some("k"), &body).await);
    assert_eq!(first.bytes, again.bytes);
    let other = create(&api, Some("k"), &json!({ "name": "Other" })).await;
    problem(&other, 422, "idempotency_key_reused");
}

#[tokio::test]
async fn tenants_that_cannot_be_made_are_refused() {
    let api = Api::start().await;
    for (body, field) in [
        (json!({ "id": "ACME", "name": "Acme" }), "id"),
        (json!({ "id": "a:b", "name": "Acme" }), "id"),
        (json!({ "id": "", "name": "Acme" }), "id"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": "Acme", "plan": "" }), "plan"),
        (json!({ "id": "acme" }), "name"),
    ] {
        let reply = create(&api, None, &body).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], field, "{body}");
    }
    problem(&create(&api, None, &json!({ "name": "Acme", "role": "x" })).await, 400, "unknown_field");
    let header = api.operator(Method::POST, "/api/v1/tenants").header("x-tenant-id", "other");
    let reply = send(header.json(&json!({ "id": "acme", "name": "Acme" }))).await;
    problem(&reply, 400, "tenant_conflict");
    assert_eq!(api.queued("acme").await["open"], 0);
}

#[tokio::test]
async fn a_suspended_tenant_is_told_so_and_nothing_is_taken() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let moved = acme.stores.catalog().tenant_status_move(TenantStatus::Active, TenantStatus::Suspended).await;
    assert!(moved.unwrap());
    let before = Written::of(&api, &acme).await;
    problem(&acme.upload_text("a.md", "text").await, 403, "tenant_suspended");
    assert_eq!(acme.get("").await.text("/status"), "suspended");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn the_first_key_works_at_once_when_the_tenant_is_ready() {
    let api = Api::start().await;
    let acme = api.provisioning("acme").await;
    // The directory learns, and remembers, that there is no such key yet.
    problem(&acme.get("/kbs").await, 409, "tenant_not_ready");
    let acme = api.tenant_ready(acme).await;
    assert_eq!(acme.get("/kbs").await.status, 200);
}
