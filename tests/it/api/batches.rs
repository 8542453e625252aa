//! Batches: what one request or one folder brought in, with one progress, one report and one cancel.

use fair_queue::testing::RedisServer;
use jobs::clock::Clock as _;
use jobs::queue::{ClaimedJob, Verdict};
use jobs::tenant::KbId;
use jobs::{BatchId, DocumentId, JobId};
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::{DocumentCounts, DocumentFault};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

const NAMED: &str = "0190b5a8-7c00-7000-8000-0000000000f0";

async fn upload_in(tenant: &ApiTenant, batch: &str, kb: &str, names: &[&str]) -> Reply {
    let documents: Vec<_> = names.iter().map(|name| json!({ "name": name, "text": "text" })).collect();
    let request = tenant.request(Method::POST, &format!("/kbs/{kb}/documents/batch"));
    send(request.header("batch-id", batch).json(&json!({ "documents": documents }))).await
}

async fn batch(tenant: &ApiTenant, id: &str) -> Value {
    let reply = tenant.get(&format!("/batches/{id}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body()
}

#[tokio::test]
async fn a_request_is_a_batch_and_several_are_gathered_in_one() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let own = acme.upload_files(&[("a.md", b"a"), ("b.md", b"b")]).await;
    assert_eq!(own.status, 202, "{own:?}");
    let id = own.text("/batch_id");
    assert_eq!(own.text("/batch_location"), format!("/api/v1/tenants/acme/batches/{id}"));
    let shown = batch(&acme, &id).await;
    assert_eq!((&shown["state"], &shown["progress"]), (&json!("active"), &json!({ "done": 0, "total": 2 })));
    assert_eq!((&shown["counts"]["pending"], &shown["kb_ids"]), (&json!(2), &json!(["default"])));
    let estimate = &shown["estimate"];
    assert_eq!((&estimate["remaining"], &estimate["seconds"]), (&json!(2), &Value::Null), "none has ended");
    assert_eq!(estimate["bound_by"][0]["code"], "no_worker", "what binds it: {estimate}");

    for names in [&["c.md", "d.md"][..], &["e.md"]] {
        let reply = upload_in(&acme, NAMED, "default", names).await;
        assert_eq!((reply.status, reply.text("/batch_id").as_str()), (202, NAMED));
    }
    let document = DocumentId::of_name("c.md");
    let view = acme.get(&format!("/kbs/default/documents/{document}")).await.body();
    assert_eq!((&view["batch_id"], &view["stage"]["name"]), (&json!(NAMED), &json!("waiting")));
    assert_eq!(batch(&acme, NAMED).await["progress"]["total"], 3);
    let listed = acme.get("/batches").await.body();
    let ids: Vec<_> = listed["batches"].as_array().unwrap().iter().map(|batch| &batch["id"]).collect();
    assert_eq!(ids, [&json!(id), &json!(NAMED)], "newest first, by their ids");
    let page = acme.get("/batches?limit=1").await.body();
    let rest = acme.get(&format!("/batches?after={}", page["next"].as_str().unwrap())).await.body();
    assert_eq!((&rest["batches"][0]["id"], &rest["next"]), (&json!(NAMED), &Value::Null));

    for path in [format!("/batches/{id}"), format!("/batches/{NAMED}")] {
        problem(&twin.get(&path).await, 404, "not_found");
    }
    assert_eq!(twin.get("/batches").await.body()["batches"], json!([]));
    for bad in ["x", "", "2c1b7a52-3a55-4e0c-9a48-0f0f5a3a1111", &NAMED.to_uppercase()] {
        problem(&upload_in(&acme, bad, "default", &["f.md"]).await, 400, "invalid_batch_id");
    }
    problem(&acme.get("/batches?after=x").await, 400, "invalid_query");
}

#[tokio::test]
async fn the_report_says_what_failed_and_when_the_rest_is_done() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    // Its own clock tells when the batch began.
    let id = BatchId::generate(api.clock.now(), [7; 10]).to_string();
    upload_in(&acme, &id, "default", &["a.md", "b.md", "c.md", "d.md"]).await;
    api.clock.advance(std::time::Duration::from_secs(60));
    let (catalog, kb, now) = (acme.stores.catalog(), KbId::first(), api.clock.now());
    let documents = ["a.md", "b.md"].map(DocumentId::of_name);
    assert!(catalog.document_processed(&kb, &documents[0], 1, DocumentCounts::default(), now).await.unwrap());
    let fault = DocumentFault { code: "too_complex".into(), detail: "split it".into() };
    assert!(catalog.document_failed(&kb, &documents[1], 1, &fault, now).await.unwrap());
    let shown = batch(&acme, &id).await;
    assert_eq!(shown["progress"], json!({ "done": 2, "total": 4 }));
    let expected = json!([{
        "kb_id": "default", "document_id": documents[1], "name": "b.md", "code": "too_complex", "detail": "split it",
    }]);
    assert_eq!((&shown["failures"], &shown["more_failures"]), (&expected, &json!(false)));
    let estimate = &shown["estimate"];
    assert_eq!((&estimate["per_minute"], &estimate["seconds"]), (&json!(2.0), &json!(60)), "{estimate}");
    // What is uploaded again leaves the batch, and the batch remembers.
    acme.upload_text("c.md", "new").await;
    let counts = &batch(&acme, &id).await["counts"];
    assert_eq!((&counts["replaced"], &counts["pending"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_cancelled_batch_ends_and_takes_nothing_more() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    acme.upload_text("stays.md", "text").await;
    for tenant in [&acme, &twin] {
        upload_in(tenant, NAMED, "default", &["a.md", "b.md"]).await;
    }
    let before = Written::of(&api, &twin).await;
    let cancel = |tenant: &ApiTenant, id: &str| {
        tenant
            .request(Method::POST, &format!("/batches/{id}/cancel"))
            .header("audit-reason", "wrong%20folder")
    };
    let reply = send(cancel(&acme, NAMED)).await;
    assert_eq!((reply.status, &reply.body()["documents"]), (202, &json!(2)), "{reply:?}");
    assert_eq!(reply.body()["jobs"], json!({ "cancelled": 2, "stopping": 0 }));
    let shown = batch(&acme, NAMED).await;
    assert_eq!((&shown["state"], &shown["counts"]["failed"]), (&json!("cancelled"), &json!(2)));
    assert_eq!(shown["failures"][0]["code"], "cancelled");
    assert!(shown["cancelled_at"].is_string() && shown["estimate"].is_null(), "{shown}");
    assert_eq!(Written::of(&api, &twin).await, before);
    let left = api.claim().await;
    assert_eq!(left.jobs.len(), 3, "what stays, and the two of the other tenant");

    problem(&upload_in(&acme, NAMED, "default", &["late.md"]).await, 409, "batch_cancelled");
    let again = send(cancel(&acme, NAMED)).await;
    assert_eq!((again.status, &again.body()["documents"]), (202, &json!(0)), "once more changes nothing");
    assert_eq!(upload_in(&acme, &NAMED.replace("f0", "f1"), "default", &["a.md"]).await.status, 202);
    let logged = acme.get("/audit").await.body();
    let entry =
        logged["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == "batches_cancel");
    let entry = entry.unwrap_or_else(|| panic!("{logged}"));
    assert_eq!((&entry["target"]["batch"], &entry["reason"]), (&json!(NAMED), &json!("wrong folder")));

    let nowhere = NAMED.replace("f0", "ff");
    problem(&send(cancel(&acme, &nowhere)).await, 404, "not_found");
    twin.member(&api, "product:ann", "VIEWER").await;
    let viewer = twin.anonymous(Method::POST, &format!("/batches/{NAMED}/cancel"));
    let viewer = viewer.bearer_auth(Claims::of("acme-2", "VIEWER").token());
    problem(&send(viewer).await, 403, "forbidden");
}

/// What a worker does after the cancellation changes nothing, though it had begun before.
#[tokio::test]
async fn a_job_that_runs_on_finds_its_document_cancelled() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    upload_in(&acme, NAMED, "default", &["a.md"]).await;
    let claim = api.claim().await;
    assert_eq!(claim.jobs.len(), 1);
    let reply = send(acme.request(Method::POST, &format!("/batches/{NAMED}/cancel"))).await;
    assert_eq!(reply.body()["jobs"], json!({ "cancelled": 0, "stopping": 1 }), "{reply:?}");
    let (catalog, document, now) = (acme.stores.catalog(), DocumentId::of_name("a.md"), api.clock.now());
    let work = (JobId::generate(now), 3);
    assert!(!catalog.document_processing(&KbId::first(), &document, 1, work, now).await.unwrap());
    let finished = jobs::queue::FinishedJob::new(&claim.jobs[0], claim.fence, Verdict::Completed);
    api.queue.finish(&[finished]).await.unwrap();
    assert_eq!(batch(&acme, NAMED).await["state"], "cancelled");
}

#[tokio::test]
async fn a_key_of_one_knowledge_base_sees_and_cancels_its_own_part() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "papers").await;
    upload_in(&acme, NAMED, "default", &["secret.md", "b.md"]).await;
    upload_in(&acme, NAMED, "papers", &["mine.md"]).await;
    let other = upload_in(&acme, &NAMED.replace("f0", "f1"), "default", &["c.md"]).await.text("/batch_id");
    let made = acme.post("/api-keys", &json!({ "name": "a", "role": "ADMIN", "kb_id": "papers" })).await;
    let key = made.text("/api_key");
    let ask = async |method: Method, path: &str| send(acme.anonymous(method, path).bearer_auth(&key)).await;
    let listed = ask(Method::GET, "/batches").await.body();
    assert_eq!(listed["batches"].as_array().unwrap().len(), 1, "{listed}");
    let shown = ask(Method::GET, &format!("/batches/{NAMED}")).await;
    assert_eq!(
        (&shown.body()["progress"]["total"], &shown.body()["kb_ids"]),
        (&json!(1), &json!(["papers"]))
    );
    for (method, rest) in [(Method::GET, ""), (Method::POST, "/cancel"), (Method::GET, "/events")] {
        problem(&ask(method, &format!("/batches/{other}{rest}")).await, 404, "not_found");
    }
    let cancelled = ask(Method::POST, &format!("/batches/{NAMED}/cancel")).await;
    assert_eq!(cancelled.body()["documents"], 1, "{cancelled:?}");
    let whole = batch(&acme, NAMED).await;
    assert_eq!((&whole["counts"]["failed"], &whole["counts"]["pending"]), (&json!(1), &json!(2)));
    assert_eq!(upload_in(&acme, NAMED, "default", &["d.md"]).await.status, 202, "only its part is cancelled");
    problem(&upload_in(&acme, NAMED, "papers", &["e.md"]).await, 409, "batch_cancelled");
}

#[tokio::test]
async fn a_repeated_request_is_the_same_batch_and_another_batch_is_another_request() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let upload = async |batch: Option<&str>| {
        let request =
            acme.request(Method::POST, "/kbs/default/documents/text").header("idempotency-key", "k");
        let request = batch.into_iter().fold(request, |request, batch| request.header("batch-id", batch));
        send(request.json(&json!({ "name": "a.md", "text": "text" }))).await
    };
    let first = upload(Some(NAMED)).await;
    let again = upload(Some(NAMED)).await;
    assert_eq!((again.status, again.body()), (202, first.body()));
    problem(&upload(None).await, 422, "idempotency_key_reused");
    problem(&upload(Some(&NAMED.replace("f0", "f1"))).await, 422, "idempotency_key_reused");
    assert_eq!(batch(&acme, NAMED).await["progress"]["total"], 1);
}

fn ids(page: &Value) -> Vec<String> {
    page["jobs"].as_array().unwrap().iter().filter_map(|job| Some(job["id"].as_str()?.to_owned())).collect()
}

/// A batch of four documents in two knowledge bases, beside another document. The jobs of the first three, and of the
/// fourth, which is in `papers`.
async fn gathered(api: &Api) -> (ApiTenant, Vec<String>, String) {
    let acme = api.tenant("acme").await;
    acme.kb_make(api, "papers").await;
    acme.upload_text("other.md", "text").await;
    let mine = upload_in(&acme, NAMED, "default", &["a.md", "b.md", "c.md"]).await.body();
    let jobs = mine["documents"].as_array().unwrap().iter();
    let jobs = jobs.map(|made| made["job_id"].as_str().unwrap().to_owned()).collect();
    let theirs = upload_in(&acme, NAMED, "papers", &["mine.md"]).await.text("/job_id");
    (acme, jobs, theirs)
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn jobs_are_listed_by_their_batch() {
    let api = Api::start().await;
    let (acme, mine, theirs) = gathered(&api).await;
    let twin = api.tenant("acme-2").await;
    upload_in(&twin, NAMED, "default", &["a.md"]).await;
    let list = format!("/jobs?batch_id={NAMED}");
    let page = acme.get(&list).await.body();
    let expected = sorted([&mine[..], std::slice::from_ref(&theirs)].concat());
    assert_eq!(sorted(ids(&page)), expected);
    assert!(page["jobs"].as_array().unwrap().iter().all(|job| job["batch_id"] == NAMED), "{page}");
    assert_eq!(acme.get(&format!("/jobs/{theirs}")).await.body()["batch_id"], NAMED);

    // With the other filters, page by page.
    let page = acme.get(&format!("{list}&kb_id=papers")).await.body();
    assert_eq!(ids(&page), [theirs.as_str()]);
    let (mut found, mut from) = (Vec::new(), Some(String::new()));
    while let Some(after) = from {
        let page = acme.get(&format!("{list}&limit=1{after}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.body();
        assert!(ids(&page).len() <= 1, "{page}");
        found.extend(ids(&page));
        from = page["next"].as_str().map(|next| format!("&after={next}"));
    }
    assert_eq!(sorted(found), expected);

    // A key of one knowledge base reaches its own part; what it does not reach is as what does not exist.
    let made = acme.post("/api-keys", &json!({ "name": "a", "role": "ADMIN", "kb_id": "papers" })).await;
    let key = made.text("/api_key");
    let ask = async |path: &str| send(acme.anonymous(Method::GET, path).bearer_auth(&key)).await;
    assert_eq!(ids(&ask(&list).await.body()), [theirs.as_str()]);
    let other = upload_in(&acme, &NAMED.replace("f0", "f1"), "default", &["d.md"]).await.text("/batch_id");
    let hidden = ask(&format!("/jobs?batch_id={other}")).await;
    let unknown = ask(&list.replace("f0", "ff")).await;
    problem(&hidden, 400, "invalid_query");
    problem(&unknown, 400, "invalid_query");
    assert_eq!((hidden.text("/detail"), hidden.text("/field")), (unknown.text("/detail"), "batch_id".into()));
    problem(&twin.get(&format!("/jobs?batch_id={other}")).await, 400, "invalid_query");
    problem(&acme.get("/dead-letters?batch_id=x").await, 400, "invalid_query");
}

/// What failed for good is retried, and what waits is cancelled, as a batch.
#[tokio::test]
async fn jobs_of_a_batch_are_retried_and_cancelled() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let (acme, mine, theirs) = gathered(&api).await;
    let dead = |_: &ClaimedJob| Verdict::Discarded { code: "x", reason: String::new() };
    assert_eq!(api.work(&acme, dead).await, 5);
    let kept = acme.get(&format!("/dead-letters?batch_id={NAMED}")).await.body();
    assert_eq!(ids(&kept).len(), 4, "{kept}");
    let first = &kept["jobs"][0];
    assert_eq!((&first["batch_id"], &first["priority"]), (&json!(NAMED), &json!("normal")));
    assert_eq!(acme.get(&format!("/dead-letters/{theirs}")).await.body()["batch_id"], NAMED);
    let retried = acme.post("/dead-letters/retry", &json!({ "batch_id": NAMED })).await;
    assert_eq!(retried.body(), json!({ "started": 4, "unique_key_taken": 0 }));
    let filter = json!({ "batch_id": NAMED, "kb_id": "default" });
    let cancelled = acme.post("/jobs/cancel", &filter).await.body();
    assert_eq!(cancelled, json!({ "cancelled": 3, "stopping": 0, "more": false }));
    assert_eq!(ids(&acme.get(&format!("/jobs?batch_id={NAMED}")).await.body()), [theirs.as_str()]);
    let ended = acme.get(&format!("/jobs/{}", mine[0])).await.body();
    assert_eq!((&ended["state"], &ended["batch_id"]), (&json!("cancelled"), &json!(NAMED)), "in the history");
    let nowhere = json!({ "batch_id": NAMED.replace("f0", "f2") });
    problem(&acme.post("/jobs/cancel", &nowhere).await, 400, "invalid_field");
}
