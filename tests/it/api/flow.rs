use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiTenant, problem, send};

async fn post(tenant: &ApiTenant, path: &str) -> serde_json::Value {
    let reply = send(tenant.request(Method::POST, path)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body()
}

/// Why the tenant's job does not run.
async fn waits_for(tenant: &ApiTenant, job: &str) -> String {
    tenant.get(&format!("/jobs/{job}")).await.text("/waits_for/0/code")
}

#[tokio::test]
async fn a_tenant_pauses_drains_and_resumes() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let paused = post(&acme, "/jobs/pause").await;
    assert_eq!(paused, json!({ "tenant": "acme", "flow": "paused", "applied": true }));
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    assert_eq!(waits_for(&acme, &job).await, "tenant_paused");
    twin.upload_text("a.md", "text").await;
    assert_eq!(api.claim().await.jobs.len(), 1, "the twin goes on");

    post(&acme, "/jobs/drain").await;
    let refused = acme.upload_text("b.md", "text").await;
    problem(&refused, 429, "limit_reached");
    assert_eq!(refused.text("/limit"), "tenant_draining");
    assert_eq!(twin.upload_text("b.md", "text").await.status, 202);
    assert_eq!(api.claim().await.jobs.len(), 2, "what is there runs");
    assert_eq!(post(&acme, "/jobs/resume").await["flow"], "open");
    assert_eq!(acme.upload_text("b.md", "text").await.status, 202);
}

#[tokio::test]
async fn a_queue_is_paused_for_a_tenant_or_for_all() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    let theirs = twin.upload_text("a.md", "text").await.text("/job_id");
    let paused = post(&acme, "/queues/documents/pause").await;
    assert_eq!(paused, json!({ "tenant": "acme", "queue": "documents", "flow": "paused", "applied": true }));
    assert_eq!(waits_for(&acme, &job).await, "tenant_queue_paused");
    assert_eq!(waits_for(&twin, &theirs).await, "no_worker");
    post(&acme, "/queues/documents/drain").await;
    assert_eq!(acme.upload_text("b.md", "text").await.text("/limit"), "tenant_queue_draining");
    post(&acme, "/queues/documents/resume").await;

    let everybody = |what: &str| api.operator(Method::POST, &format!("/api/v1/queues/documents/{what}"));
    let reply = send(everybody("pause")).await;
    assert_eq!((reply.status, &reply.body()["tenant"]), (200, &json!(null)), "{reply:?}");
    assert_eq!(waits_for(&twin, &theirs).await, "queue_paused");
    send(everybody("drain")).await;
    assert_eq!(twin.upload_text("b.md", "text").await.text("/limit"), "queue_draining");
    assert_eq!(send(everybody("resume")).await.status, 200);
    assert_eq!(api.claim().await.jobs.len(), 2);
    // Naming a tenant, the operator steers that tenant's queue alone.
    let one = send(everybody("pause").header("x-tenant-id", "acme")).await;
    assert_eq!((one.status, one.text("/tenant")), (200, "acme".to_owned()), "{one:?}");
    let twins = twin.upload_text("c.md", "text").await.text("/job_id");
    assert_eq!(waits_for(&twin, &twins).await, "no_worker");
    problem(&send(acme.request(Method::POST, "/queues/a%20b/pause")).await, 400, "invalid_field");
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_not_found_and_those_that_do_are_named() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for what in ["pause", "resume", "drain"] {
        let path = format!("/queues/translations/{what}");
        for request in
            [acme.request(Method::POST, &path), api.operator(Method::POST, &format!("/api/v1{path}"))]
        {
            let reply = send(request).await;
            problem(&reply, 404, "not_found");
            assert_eq!(reply.text("/field"), "queue");
            assert!(reply.text("/detail").contains("documents, enrich, maintenance"), "{reply:?}");
        }
    }
    // One of a type that users of the library add is known as soon as there is a job of it.
    api.push_translation("acme").await;
    assert_eq!(post(&acme, "/queues/translations/pause").await["flow"], "paused");
}

#[tokio::test]
async fn the_operator_sees_skills_that_nobody_runs() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.upload_text("a.md", "text").await;
    let skills = send(api.operator(Method::GET, "/api/v1/skills")).await.body();
    let expected =
        json!({ "skill": "document.ingest@1", "queue": "documents", "workers": 0, "ready_tenants": 1 });
    assert!(skills["skills"].as_array().unwrap().contains(&expected), "{skills}");
    let page = send(api.operator(Method::GET, "/api/v1/skills?limit=1")).await.body();
    let next = page["next"].as_str().unwrap();
    let rest = send(api.operator(Method::GET, &format!("/api/v1/skills?after={next}"))).await.body();
    let all = [page["skills"].as_array().unwrap().clone(), rest["skills"].as_array().unwrap().clone()];
    assert_eq!((json!(all.concat()), &rest["next"]), (skills["skills"].clone(), &json!(null)));
    problem(&send(api.request(Method::GET, "/api/v1/skills").bearer_auth(&acme.key)).await, 403, "forbidden");
}

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for number in 0..5 {
        acme.upload_text(&format!("{number}.md"), "text").await;
    }
    let (mut seen, mut path) = (Vec::new(), "/jobs?type=document.ingest&limit=2".to_owned());
    loop {
        let page = acme.get(&path).await.body();
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/jobs?type=document.ingest&limit=2&after={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert_eq!(acme.get("/jobs?queue=maintenance").await.body()["jobs"], json!([]));
    for bad in [
        "queue=elsewhere",
        "type=kb.reindex,x",
        "kb_id=x",
        "state=completed",
        "state=x",
        "after=x",
        "after=-1",
        "limit=0",
        "status=available",
    ] {
        problem(&acme.get(&format!("/jobs?{bad}")).await, 400, "invalid_query");
    }
}

/// A script that cancels page by page leaves none.
#[tokio::test]
async fn every_job_that_waits_during_a_walk_is_shown_once_though_others_end() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    post(&acme, "/jobs/pause").await;
    let mut wanted = BTreeSet::new();
    for number in 0..30 {
        wanted.insert(acme.upload_text(&format!("{number}.md"), "text").await.text("/job_id"));
    }
    let (mut seen, mut path) = (Vec::new(), "/jobs?type=document.ingest&limit=7".to_owned());
    loop {
        let page = acme.get(&path).await.body();
        for job in page["jobs"].as_array().unwrap() {
            let id = job["id"].as_str().unwrap().to_owned();
            let reply = send(acme.request(Method::DELETE, &format!("/jobs/{id}"))).await;
            assert_eq!(reply.text("/outcome"), "cancelled");
            seen.push(id);
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/jobs?type=document.ingest&limit=7&after={next}");
    }
    assert_eq!((seen.len(), BTreeSet::from_iter(seen)), (30, wanted));
}
