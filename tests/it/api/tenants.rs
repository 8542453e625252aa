use jobs::JobKind;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, Claims, Reply, Written, problem, send};

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
    // The key does not work yet, but it is known: its holder is told to wait, not that it is wrong.
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

/// The routes do what the status of a PATCH does, and are the operator's alone.
#[tokio::test]
async fn suspend_and_resume_are_the_operators() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let operator =
        async |verb: &str| send(api.operator(Method::POST, &format!("/api/v1/tenants/acme/{verb}"))).await;
    problem(&send(acme.request(Method::POST, "/suspend")).await, 403, "forbidden");
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    assert_eq!(operator("suspend").await.text("/status"), "suspended");
    for path in ["/kbs", "/kbs/default", "/kbs/default/documents", "/kbs/default/graph"] {
        problem(&acme.get(path).await, 403, "tenant_suspended");
    }
    problem(&acme.upload_text("b.md", "text").await, 403, "tenant_suspended");
    problem(&send(acme.request(Method::POST, "/resume")).await, 403, "forbidden");
    let renamed = acme.request(Method::PATCH, "").json(&json!({ "name": "Free again" }));
    problem(&send(renamed).await, 403, "tenant_suspended");
    let parked = send(api.operator(Method::GET, &format!("/api/v1/tenants/acme/jobs/{job}"))).await;
    assert_eq!(parked.text("/state"), "parked");
    assert_eq!(twin.get("/kbs").await.status, 200);
    assert_eq!(operator("suspend").await.status, 200, "once more changes nothing");
    assert_eq!(operator("resume").await.text("/status"), "active");
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/state"), "available");
    assert_eq!(acme.get("/kbs").await.status, 200);
    api.provisioning("early").await;
    let early = send(api.operator(Method::POST, "/api/v1/tenants/early/resume")).await;
    problem(&early, 409, "tenant_not_ready");
}

#[tokio::test]
async fn an_admin_renames_the_tenant_and_changes_nothing_else() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let patch = async |body: Value| send(acme.request(Method::PATCH, "").json(&body)).await;
    assert_eq!(patch(json!({ "name": "Acme Ltd" })).await.text("/name"), "Acme Ltd");
    assert_eq!(acme.get("").await.text("/name"), "Acme Ltd");
    for body in [
        json!({ "name": "Mine", "plan": "standard" }),
        json!({ "name": "Mine", "limits": null }),
        json!({ "name": "Mine", "status": "active" }),
    ] {
        problem(&patch(body).await, 403, "forbidden");
    }
    problem(&patch(json!({ "name": "" })).await, 400, "invalid_field");
    acme.member(&api, "product:ann", "ADMIN").await;
    let viewer = acme.anonymous(Method::PATCH, "").bearer_auth(Claims::of("acme", "EDITOR").token());
    problem(&send(viewer.json(&json!({ "name": "Mine" }))).await, 403, "forbidden");
    assert_eq!(acme.get("").await.text("/name"), "Acme Ltd");
}

#[tokio::test]
async fn a_deleted_tenant_is_closed_at_once_and_its_work_is_called_off() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    problem(&send(acme.request(Method::DELETE, "")).await, 403, "forbidden");
    let before = Written::of(&api, &twin).await;
    // Limits and suspensions of the tenant do not hold this back.
    send(api.operator(Method::POST, "/api/v1/tenants/acme/suspend")).await;
    for _ in 0..2 {
        let reply = send(api.operator(Method::DELETE, "/api/v1/tenants/acme")).await;
        assert_eq!((reply.status, reply.text("/tenant/status").as_str()), (202, "deprovisioning"));
        let view = send(api.operator(Method::GET, &reply.text("/location"))).await.body();
        assert_eq!((&view["type"], &view["state"]), (&json!("tenant.deprovision"), &json!("available")));
    }
    assert_eq!(api.queued("acme").await["open"], 1);
    let called_off = send(api.operator(Method::GET, &format!("/api/v1/tenants/acme/jobs/{job}"))).await;
    assert_eq!(called_off.text("/state"), "cancelled");
    for path in ["", "/kbs", "/jobs", "/limits"] {
        problem(&acme.get(path).await, 404, "not_found");
    }
    problem(&acme.upload_text("b.md", "text").await, 404, "not_found");
    let shown = send(api.operator(Method::GET, "/api/v1/tenants/acme")).await;
    assert_eq!(shown.text("/status"), "deprovisioning");
    assert_eq!(Written::of(&api, &twin).await, before);
    problem(&send(api.operator(Method::DELETE, "/api/v1/tenants/nobody")).await, 404, "not_found");
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
