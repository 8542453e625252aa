use fair_queue::testing::RedisServer;
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper};
use jobs::queue::Verdict;
use jobs::tenant::TenantContext;
use jobs::types::BuildGraph;
use jobs::{DocumentId, JobId};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

async fn delete(tenant: &ApiTenant, job: &str) -> Reply {
    send(tenant.request(Method::DELETE, &format!("/jobs/{job}"))).await
}

async fn upload(tenant: &ApiTenant, name: &str) -> String {
    tenant.upload_text(name, "text").await.text("/job_id")
}

/// A document's status and the code of its error.
async fn document(tenant: &ApiTenant, name: &str) -> (Value, Value) {
    let body = tenant.get(&format!("/kbs/default/documents/{}", DocumentId::of_name(name))).await.body();
    (body["status"].clone(), body["error"]["code"].clone())
}

fn cancelled() -> (Value, Value) {
    (json!("failed"), json!("cancelled"))
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_and_its_document_says_so() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let (job, other) = (upload(&acme, "a.md").await, upload(&acme, "b.md").await);
    upload(&twin, "a.md").await;
    let before = Written::of(&api, &twin).await;
    let reply = delete(&acme, &job).await;
    assert_eq!((reply.status, reply.text("/outcome").as_str()), (202, "cancelled"));
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/state"), "cancelled");
    assert_eq!(document(&acme, "a.md").await, cancelled());
    assert_eq!(document(&acme, "b.md").await.0, "pending");
    assert_eq!(delete(&acme, &job).await.text("/outcome"), "ended");
    problem(&delete(&twin, &other).await, 404, "not_found");
    problem(&delete(&acme, &JobId::generate(Api::start_time()).to_string()).await, 404, "not_found");
    assert_eq!(Written::of(&api, &twin).await, before);
    assert_eq!(api.claim().await.jobs.len(), 2);
}

#[tokio::test]
async fn a_running_job_is_told_to_stop_and_a_dead_letter_is_kept() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let job = upload(&acme, "a.md").await;
    api.claim().await;
    assert_eq!(delete(&acme, &job).await.text("/outcome"), "stopping");
    assert_eq!(document(&acme, "a.md").await.0, "pending", "its worker will say");
    let dead = upload(&acme, "b.md").await;
    let verdict = |_: &_| Verdict::Discarded { code: "too_complex", reason: "split it".into() };
    assert_eq!(api.work(&acme, verdict).await, 1);
    assert_eq!(delete(&acme, &dead).await.text("/outcome"), "kept");
}

#[tokio::test]
async fn a_step_that_will_not_come_fails_its_document_too() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    upload(&acme, "a.md").await;
    let id = DocumentId::of_name("a.md");
    let kb = "default".parse().unwrap();
    acme.stores
        .catalog()
        .document_processing(&kb, &id, 1, (JobId::generate(Api::start_time()), 1), Api::start_time())
        .await
        .unwrap();
    let stamper =
        Stamper::new(StampKeys::parse(&StampKeys::generate("t")).unwrap(), Arc::new(api.clock.clone()));
    let build = BuildGraph::of(id, 1);
    let build = stamper.stamp(&TenantContext::for_tests("acme"), &build, EnqueueOptions::default()).unwrap();
    api.queue.push(std::slice::from_ref(&build)).await.unwrap();
    assert_eq!(delete(&acme, &build.id().to_string()).await.text("/outcome"), "cancelled");
    assert_eq!(document(&acme, "a.md").await, cancelled());
}

#[tokio::test]
async fn a_filter_cancels_what_it_matches() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let (job, _) = (upload(&acme, "a.md").await, upload(&twin, "a.md").await);
    for tenant in [&acme, &twin] {
        assert_eq!(send(tenant.request(Method::POST, "/kbs/default/reindex")).await.status, 202);
    }
    let before = Written::of(&api, &twin).await;
    for body in [json!({}), json!({ "states": ["completed"] }), json!({ "kinds": ["x"] })] {
        assert_eq!(acme.post("/jobs/cancel", &body).await.status, 400, "{body}");
    }
    for (field, name) in [("types", "document.ingests"), ("queues", "document"), ("kb_id", "nowhere")] {
        let value = if field == "kb_id" { json!(name) } else { json!([name]) };
        for path in ["/jobs/cancel", "/dead-letters/retry", "/dead-letters/purge"] {
            let reply = acme.post(path, &json!({ field: value })).await;
            problem(&reply, 400, "invalid_field");
            assert_eq!(reply.text("/field"), field, "{path}");
            assert!(field == "kb_id" || reply.text("/detail").contains(&name[..8]), "it lists what there is");
        }
    }
    let filter = json!({ "types": ["document.ingest"], "queues": ["documents"], "states": ["available"] });
    let reply = acme.post("/jobs/cancel", &filter).await;
    assert_eq!(reply.body(), json!({ "cancelled": 1, "stopping": 0, "more": false }));
    assert_eq!(document(&acme, "a.md").await, cancelled());
    let job = acme.get(&format!("/jobs/{job}")).await.body();
    assert_eq!((&job["state"], &job["type"]), (&json!("cancelled"), &json!("document.ingest")), "{job}");
    let types: Vec<Value> = acme.get("/jobs").await.body()["jobs"].as_array().unwrap().clone();
    let mut types: Vec<_> = types.iter().map(|job| job["type"].as_str().unwrap().to_owned()).collect();
    types.sort();
    assert_eq!(types, ["kb.reindex", "tenant.provision"]);
    assert_eq!(Written::of(&api, &twin).await, before);
}

#[tokio::test]
async fn everything_is_cancelled_at_once() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    for tenant in [&acme, &twin] {
        upload(tenant, "a.md").await;
        upload(tenant, "b.md").await;
    }
    let before = Written::of(&api, &twin).await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let editor = Claims::of("acme", "EDITOR").token();
    let refused = send(acme.anonymous(Method::POST, "/jobs/cancel-all").bearer_auth(editor)).await;
    problem(&refused, 403, "forbidden");
    let reply = send(acme.request(Method::POST, "/jobs/cancel-all")).await;
    // Two uploads and the provisioning.
    assert_eq!((reply.status, reply.body()), (202, json!({ "cancelled": 3, "stopping": 0 })));
    assert_eq!((document(&acme, "a.md").await, document(&acme, "b.md").await), (cancelled(), cancelled()));
    assert_eq!(Written::of(&api, &twin).await, before);
    api.clock.advance(std::time::Duration::from_secs(1));
    upload(&acme, "a.md").await;
    assert_eq!(document(&acme, "a.md").await.0, "pending", "what comes afterwards runs");
    let operator = send(api.operator(Method::POST, "/api/v1/tenants/acme/jobs/cancel-all")).await;
    assert_eq!(operator.body()["cancelled"], 1);
}

#[tokio::test]
async fn only_who_manages_all_jobs_may_cancel_or_hold_them_all() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let job = upload(&acme, "a.md").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let before = Written::of(&api, &acme).await;
    let one_kb = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "ADMIN") };
    for (claims, method, path) in [
        (Claims::of("acme", "VIEWER"), Method::DELETE, format!("/jobs/{job}")),
        (one_kb.clone(), Method::GET, "/limits".to_owned()),
        (one_kb.clone(), Method::GET, "/usage".to_owned()),
    ] {
        let reply = send(acme.anonymous(method, &path).bearer_auth(claims.token())).await;
        problem(&reply, 403, "forbidden");
    }
    for claims in [Claims::of("acme", "VIEWER"), one_kb] {
        let token = claims.token();
        for (method, path) in [
            (Method::POST, "/jobs/cancel-all".to_owned()),
            (Method::POST, "/jobs/pause".into()),
            (Method::POST, "/queues/documents/drain".into()),
        ] {
            let reply = send(acme.anonymous(method, &path).bearer_auth(&token)).await;
            problem(&reply, 403, "forbidden");
        }
    }
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn what_the_queue_does_not_have_yet_can_be_cancelled() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    redis.stop().unwrap();
    let job = upload(&acme, "a.md").await;
    assert_eq!(api.outbox_len().await, 1);
    assert_eq!(delete(&acme, &job).await.text("/outcome"), "cancelled");
    assert_eq!((api.outbox_len().await, document(&acme, "a.md").await), (0, cancelled()));
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/state"), "cancelled");
    assert_eq!(delete(&acme, &job).await.text("/outcome"), "ended");
}
