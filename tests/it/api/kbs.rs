use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Claims, Reply, Written, problem, send};

async fn create(tenant: &ApiTenant, key: Option<&str>, body: &Value) -> Reply {
    let request = tenant.request(Method::POST, "/kbs").json(body);
    send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

async fn rename(tenant: &ApiTenant, if_match: Option<&str>, name: &str) -> Reply {
    let request = tenant.request(Method::PATCH, "/kbs/papers").json(&json!({ "name": name }));
    send(if_match.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
}

#[tokio::test]
async fn a_knowledge_base_is_made_and_can_be_used_at_once() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let kbs = async |tenant: &ApiTenant| tenant.get("/kbs").await.body()["kbs"].as_array().unwrap().len();
    let reply = create(&acme, None, &json!({ "kb_id": "papers", "name": "Papers" })).await;
    assert_eq!((reply.status, reply.header("location")), (201, "/api/v1/tenants/acme/kbs/papers"));
    let shown = acme.get("/kbs/papers").await;
    assert_eq!((shown.text("/name").as_str(), shown.header("etag")), ("Papers", "\"1\""));
    let upload = acme.post("/kbs/papers/documents/text", &json!({ "name": "a.md", "text": "text" })).await;
    assert_eq!(upload.status, 202, "{upload:?}");
    assert_eq!(acme.get("/kbs/papers").await.body()["documents"]["pending"], 1);
    assert_eq!((kbs(&acme).await, kbs(&twin).await), (2, 1));
    problem(&create(&acme, None, &json!({ "kb_id": "papers", "name": "Papers" })).await, 409, "kb_exists");
    assert_eq!(create(&twin, None, &json!({ "kb_id": "papers", "name": "Papers" })).await.status, 201);
}

#[tokio::test]
async fn the_same_request_makes_one() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let body = json!({ "name": "Papers" });
    let (first, again) = (create(&acme, Some("k"), &body).await, create(&acme, Some("k"), &body).await);
    assert_eq!((first.status, again.status, first.bytes == again.bytes), (201, 201, true), "{again:?}");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_ne!(create(&acme, None, &body).await.text("/id"), first.text("/id"));
    let other = create(&acme, Some("k"), &json!({ "name": "Other" })).await;
    problem(&other, 422, "idempotency_key_reused");
    assert_eq!(acme.get("/kbs").await.body()["kbs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_cannot_be_used_makes_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let before = Written::of(&api, &acme).await;
    for (body, code, field) in [
        (json!({ "kb_id": "PAPERS", "name": "x" }), "invalid_field", "kb_id"),
        (json!({ "kb_id": "a/b", "name": "x" }), "invalid_field", "kb_id"),
        (json!({ "kb_id": "a".repeat(64), "name": "x" }), "invalid_field", "kb_id"),
        (json!({ "name": " " }), "invalid_field", "name"),
        (json!({ "name": "a\nb" }), "invalid_field", "name"),
        (json!({ "name": "x".repeat(201) }), "invalid_field", "name"),
        (json!({ "kb_id": "papers" }), "invalid_field", "name"),
        (json!({ "name": "x", "tenant_id": "acme-2" }), "unknown_field", "tenant_id"),
        (json!({ "name": "x", "workspace": "ws_0000000000000000" }), "unknown_field", "workspace"),
    ] {
        let reply = create(&acme, None, &body).await;
        problem(&reply, 400, code);
        assert_eq!(reply.body()["field"], field, "{body}");
    }
    let mut limited = Claims::of("acme", "ADMIN");
    limited.kb_id = Some("default".into());
    for claims in [Claims::of("acme", "VIEWER"), limited] {
        let request = acme.anonymous(Method::POST, "/kbs").bearer_auth(claims.token());
        problem(&send(request.json(&json!({ "name": "x" }))).await, 403, "forbidden");
    }
    let viewer = Claims::of("acme", "VIEWER").token();
    let viewer = acme.anonymous(Method::DELETE, "/kbs/default").bearer_auth(viewer);
    problem(&send(viewer).await, 403, "forbidden");
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn a_rename_minds_who_was_faster() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    create(&acme, None, &json!({ "kb_id": "papers", "name": "Papers" })).await;
    let renamed = rename(&acme, Some("\"1\""), "Old papers").await;
    assert_eq!((renamed.status, renamed.header("etag")), (200, "\"2\""));
    problem(&rename(&acme, Some("\"1\""), "Lost").await, 412, "precondition_failed");
    assert_eq!(acme.get("/kbs/papers").await.text("/name"), "Old papers");
    assert_eq!(rename(&acme, None, "Papers again").await.header("etag"), "\"3\"");
    assert_eq!(acme.get("/kbs/papers").await.text("/name"), "Papers again");
}

#[tokio::test]
async fn a_closed_one_is_there_for_nobody_and_may_be_deleted_once_more() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    create(&acme, None, &json!({ "kb_id": "papers", "name": "Papers" })).await;
    let delete = async || send(acme.request(Method::DELETE, "/kbs/papers")).await;
    let reply = delete().await;
    assert_eq!((reply.status, reply.text("/kb_id").as_str()), (202, "papers"));
    assert_eq!(acme.get(&format!("/jobs/{}", reply.text("/job_id"))).await.text("/type"), "kb.delete");
    problem(&acme.get("/kbs/papers").await, 404, "not_found");
    problem(&rename(&acme, None, "Mine").await, 404, "not_found");
    assert_eq!(acme.get("/kbs").await.body()["kbs"].as_array().unwrap().len(), 1);
    problem(&create(&acme, None, &json!({ "kb_id": "papers", "name": "Papers" })).await, 409, "kb_exists");
    // The first caller may have been removed before the job runs; then another one can repeat the request.
    assert_eq!(delete().await.status, 202);
}
