//! What a document says that does not move, reason by reason. What the queue has lost, quarantined or tries again is in
//! `fates` and `jobs`.

use std::time::Duration;

use fair_queue::testing::RedisServer;
use jobs::DocumentId;
use jobs::queue::{Skill, Verdict, skill_of};
use jobs::types::IngestDocument;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, problem, send};

/// What a document waits for.
async fn waits(tenant: &ApiTenant, name: &str) -> Value {
    let path = format!("/kbs/default/documents/{}", DocumentId::of_name(name));
    tenant.get(&path).await.body()["waits_for"].clone()
}

/// The codes and texts of its reasons.
fn reasons(waits: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let reasons = waits["reasons"].as_array().unwrap_or_else(|| panic!("{waits}"));
    reasons.iter().map(|reason| (text(&reason["code"]), text(&reason["text"]))).collect()
}

/// The text of the reason with this code.
async fn reason(tenant: &ApiTenant, name: &str, code: &str) -> String {
    let waits = waits(tenant, name).await;
    let found = reasons(&waits).into_iter().find(|(found, _)| found == code);
    found.unwrap_or_else(|| panic!("not {code}: {waits}")).1
}

/// A worker that lives and knows how to read documents, or one that has stopped.
async fn worker(api: &Api, lives: bool) {
    let skills: [Skill; 1] = [skill_of::<IngestDocument>()];
    api.queue.heartbeat("test", &skills, lives).await.unwrap();
}

/// A tenant with documents that wait, and a worker that could read them.
async fn waiting(names: &[&str]) -> (Api, ApiTenant) {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    worker(&api, true).await;
    for name in names {
        acme.upload_text(name, "text").await;
    }
    (api, acme)
}

/// Of two documents the first is being read, and the tenant may have no more than one job.
async fn one_of_two_runs() -> (Api, ApiTenant) {
    let (api, acme) = waiting(&["a.md", "b.md"]).await;
    limit(&api, &acme, json!({ "cap": 1 })).await;
    assert_eq!(api.claim().await.jobs.len(), 1);
    (api, acme)
}

async fn limit(api: &Api, tenant: &ApiTenant, limits: Value) {
    let path = format!("/api/v1/tenants/{}", tenant.id);
    let reply = send(api.operator(Method::PATCH, &path).json(&json!({ "limits": limits }))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn no_live_worker_knows_its_type() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.upload_text("a.md", "text").await;
    let none = [("no_worker".to_owned(), "no live worker declares document.ingest@1".to_owned())];
    assert_eq!(reasons(&waits(&acme, "a.md").await), none);
    worker(&api, true).await;
    assert_eq!(reasons(&waits(&acme, "a.md").await)[0].0, "free_worker");
    worker(&api, false).await;
    assert_eq!(reasons(&waits(&acme, "a.md").await), none, "a worker that stopped is not counted");
}

#[tokio::test]
async fn its_tenant_runs_as_many_jobs_as_it_may() {
    let (api, acme) = one_of_two_runs().await;
    let runs = waits(&acme, "a.md").await;
    assert_eq!((&runs["state"], reasons(&runs)[0].0.as_str()), (&json!("active"), "running"));
    assert_eq!(reason(&acme, "b.md", "cap").await, "the tenant runs 1 of 1 jobs");

    limit(&api, &acme, json!({ "cap": 2, "type_caps": { "document.ingest": 1 } })).await;
    let text = reason(&acme, "b.md", "type_cap").await;
    assert_eq!(text, "the tenant runs 1 of 1 jobs of type document.ingest");
    limit(&api, &acme, json!({ "cap": 2, "type_caps": null })).await;
    assert_eq!(reasons(&waits(&acme, "b.md").await)[0].0, "free_worker");
}

/// A key of one knowledge base learns that other jobs are in the way, and not how many.
#[tokio::test]
async fn a_key_of_one_knowledge_base_learns_no_numbers() {
    let (api, acme) = one_of_two_runs().await;
    let key = acme.post("/api-keys", &json!({ "name": "one", "kb_id": "default" })).await.text("/api_key");
    let path = format!("/api/v1/tenants/acme/kbs/default/documents/{}", DocumentId::of_name("b.md"));
    let shown = send(api.bearer(Method::GET, &path, &key)).await.body();
    let told = reasons(&shown["waits_for"]);
    assert!(told.contains(&("cap".into(), "the tenant runs as many jobs as it may".into())), "{told:?}");
}

/// The tenant's own credentials are refused with that reason; the operator sees the document.
#[tokio::test]
async fn its_tenant_is_suspended() {
    let (api, acme) = waiting(&["a.md"]).await;
    let operator = |method, path: &str| api.operator(method, &format!("/api/v1/tenants/acme{path}"));
    let path = format!("/kbs/default/documents/{}", DocumentId::of_name("a.md"));
    assert_eq!(send(operator(Method::POST, "/suspend")).await.status, 200);
    let own = acme.get(&path).await;
    problem(&own, 403, "tenant_suspended");
    let job = acme.stores.catalog().document(&"default".parse().unwrap(), &DocumentId::of_name("a.md")).await;
    let job = job.unwrap().unwrap().job_id;
    let explained = api.queue.explain(&"acme".parse().unwrap(), job).await.unwrap().unwrap();
    assert_eq!(explained.waits_for[0].code(), "tenant_suspended");
    let shown = send(operator(Method::GET, &format!("/jobs/{job}"))).await;
    assert_eq!(shown.text("/waits_for/0/code"), "tenant_suspended", "{shown:?}");
    assert_eq!(send(operator(Method::POST, "/resume")).await.status, 200);
    assert_eq!(reasons(&waits(&acme, "a.md").await)[0].0, "free_worker");
}

#[tokio::test]
async fn its_tenant_or_its_queue_is_paused() {
    let (api, acme) = waiting(&["a.md"]).await;
    let operator = |path: &str| api.operator(Method::POST, &format!("/api/v1{path}"));
    for (pause, resume, code) in [
        ("/tenants/acme/jobs/pause", "/tenants/acme/jobs/resume", "tenant_paused"),
        ("/queues/documents/pause", "/queues/documents/resume", "queue_paused"),
        (
            "/tenants/acme/queues/documents/pause",
            "/tenants/acme/queues/documents/resume",
            "tenant_queue_paused",
        ),
    ] {
        assert_eq!(send(operator(pause)).await.status, 200, "{pause}");
        assert_eq!(reasons(&waits(&acme, "a.md").await)[0].0, code);
        assert_eq!(send(operator(resume)).await.status, 200, "{resume}");
        assert_eq!(reasons(&waits(&acme, "a.md").await)[0].0, "free_worker", "{resume}");
    }
}

#[tokio::test]
async fn others_go_first() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    worker(&api, true).await;
    for name in ["a.md", "b.md", "c.md"] {
        acme.upload_text(name, "text").await;
    }
    twin.upload_text("a.md", "text").await;
    assert_eq!(reason(&acme, "c.md", "jobs_ahead").await, "behind 2 jobs of the same tenant");
    let mut behind = 0;
    for tenant in [&acme, &twin] {
        let waits = waits(tenant, "a.md").await;
        behind += usize::from(reasons(&waits)[0].0 == "tenants_ahead");
    }
    assert_eq!(behind, 1, "one of two tenants is first");
}

/// The queue does not answer; when it does again, it does not have the job yet.
#[tokio::test]
async fn the_queue_is_away_or_does_not_have_its_job_yet() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    redis.stop().unwrap();
    assert_eq!(acme.upload_text("a.md", "text").await.status, 202);
    let away = waits(&acme, "a.md").await;
    assert_eq!((&away["state"], reasons(&away)[0].0.as_str()), (&json!("unknown"), "queue_away"), "{away}");
    assert_eq!(away["type"], "document.ingest");
    redis.resume().unwrap();
    let there = waits(&acme, "a.md").await;
    assert_eq!((&there["state"], reasons(&there)[0].0.as_str()), (&json!("unknown"), "delivery"), "{there}");
}

/// An attempt failed; the next one has its time, and the document shows both.
#[tokio::test]
async fn it_failed_and_is_tried_again() {
    let (api, acme) = waiting(&["a.md"]).await;
    let later = || Verdict::Retry { after: Duration::from_secs(3600), error: "no luck".into() };
    assert_eq!(api.work(&acme, |_| later()).await, 1);
    let again = waits(&acme, "a.md").await;
    assert_eq!((&again["state"], reasons(&again)[0].0.as_str()), (&json!("retryable"), "retry"), "{again}");
    assert_eq!((&again["attempts"], &again["error"]["detail"]), (&json!(1), &json!("no luck")), "{again}");
    assert!(again["due_at"].is_string(), "{again}");
}
