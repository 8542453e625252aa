//! In which lane what a request starts waits, and which turn a job waits for.

use jobs::Job as _;
use jobs::queue::{ClaimedJob, FetchRequest, Fetched, FinishedJob, Verdict, skill_of};
use jobs::types::{IngestDocument, ReindexKb};
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Reply, problem, send};

const BATCH: &str = "0190b5a8-7c00-7000-8000-0000000000f0";

/// Uploads documents under these names with these headers.
async fn upload(tenant: &ApiTenant, kb: &str, names: &[String], headers: &[(&str, &str)]) -> Reply {
    let documents: Vec<_> = names.iter().map(|name| json!({ "name": name, "text": "text" })).collect();
    let request = tenant.request(Method::POST, &format!("/kbs/{kb}/documents/batch"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request.json(&json!({ "documents": documents }))).await
}

fn named(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number}.md")).collect()
}

async fn lanes(tenant: &ApiTenant, query: &str) -> Vec<(String, Value)> {
    let page = tenant.get(&format!("/jobs{query}")).await.body();
    let rows = page["jobs"].as_array().unwrap().iter();
    rows.map(|job| (job["type"].as_str().unwrap().to_owned(), job["lane"].clone())).collect()
}

/// Starts some jobs as a worker does, and completes them.
async fn run(api: &Api, limit: usize) -> Vec<ClaimedJob> {
    let skills = [skill_of::<IngestDocument>(), skill_of::<ReindexKb>()];
    let attempt = rand::random();
    let request =
        FetchRequest { worker: "test", attempt, shard: 0, turn: None, skills: &skills, limit, quantum: 1 };
    let Fetched::Claim(claim) = api.queue.fetch(request).await.unwrap() else { return Vec::new() };
    let done: Vec<_> =
        claim.jobs.iter().map(|job| FinishedJob::new(job, claim.fence, Verdict::Completed)).collect();
    api.queue.finish(&done).await.unwrap();
    claim.jobs
}

/// How many jobs start before this one.
async fn before(api: &Api, id: &str) -> usize {
    for count in 0..1_000 {
        let started = run(api, 1).await;
        assert!(!started.is_empty(), "it never starts");
        if &*started[0].id == id {
            return count;
        }
    }
    panic!("it does not start");
}

/// Headers of a request.
type Headers = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn a_few_files_are_a_persons_and_many_are_bulk() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let cases: [(usize, Headers, &str); 6] = [
        (1, &[], "interactive"),
        (5, &[], "interactive"),
        (6, &[], "bulk"),
        (1, &[("batch-id", BATCH)], "bulk"),
        (1, &[("batch-id", BATCH), ("lane", "interactive")], "interactive"),
        (1, &[("lane", "bulk")], "bulk"),
    ];
    for (at, (files, headers, lane)) in cases.into_iter().enumerate() {
        let reply = upload(&acme, "default", &named(&format!("case-{at}"), files), headers).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        for document in reply.body()["documents"].as_array().unwrap() {
            let job = acme.get(&format!("/jobs/{}", document["job_id"].as_str().unwrap())).await.body();
            assert_eq!(job["lane"], lane, "{files} files with {headers:?}");
        }
    }
    for bad in ["urgent", "", "Bulk"] {
        problem(&upload(&acme, "default", &named("bad", 1), &[("lane", bad)]).await, 400, "invalid_lane");
    }
}

#[tokio::test]
async fn a_reindex_is_bulk_and_lists_choose_by_lane() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.upload_text("a.md", "text").await;
    acme.post("/kbs/default/reindex", &json!({})).await;
    let row = |kind: &str, lane: &str| (kind.to_owned(), json!(lane));
    assert_eq!(lanes(&acme, "?lane=bulk").await, [row(ReindexKb::TYPE, "bulk")]);
    assert_eq!(
        lanes(&acme, "?lane=interactive&type=document.ingest").await,
        [row(IngestDocument::TYPE, "interactive")]
    );
    assert_eq!(lanes(&acme, "?type=document.ingest,kb.reindex").await.len(), 2);
    let bad = acme.get("/jobs?lane=fast").await;
    problem(&bad, 400, "invalid_query");
    assert_eq!(bad.text("/detail"), "`lane`: expected one of interactive, bulk");
    problem(&acme.post("/jobs/cancel", &json!({ "lane": "fast" })).await, 400, "invalid_field");
    let cancelled = acme.post("/jobs/cancel", &json!({ "lane": "bulk" })).await.body();
    assert_eq!(cancelled["cancelled"], 1, "{cancelled}");
    assert_eq!(
        lanes(&acme, "?type=document.ingest,kb.reindex").await,
        [row(IngestDocument::TYPE, "interactive")]
    );
}

#[tokio::test]
async fn a_knowledge_base_does_not_wait_for_the_backlog_of_another() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let created = acme.post("/kbs", &json!({ "kb_id": "papers", "name": "Papers" })).await;
    assert_eq!(created.status, 201, "{created:?}");
    for part in 0..4 {
        let reply =
            upload(&acme, "default", &named(&format!("part-{part}"), 50), &[("lane", "interactive")]).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    run(&api, 10).await;
    let late = upload(&acme, "papers", &named("late", 1), &[]).await.text("/documents/0/job_id");
    let waits = acme.get(&format!("/jobs/{late}")).await.body()["waits_for"].clone();
    let turn = waits.as_array().unwrap().iter().find(|wait| wait["code"] == "turn");
    let expected = "its knowledge base's turn: 2 knowledge bases take turns, 0 jobs of its own are before it";
    assert_eq!(turn.unwrap()["text"], expected, "{waits}");
    assert!(before(&api, &late).await <= 2);
}

#[tokio::test]
async fn a_persons_upload_does_not_wait_for_a_backfill() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.post("/kbs/default/reindex", &json!({})).await;
    for part in 0..4 {
        upload(&acme, "default", &named(&format!("part-{part}"), 50), &[("batch-id", BATCH)]).await;
    }
    run(&api, 10).await;
    let backfill = acme.get("/jobs?lane=bulk&limit=1").await.text("/jobs/0/id");
    let late = acme.upload_text("late.md", "text").await.text("/job_id");
    let waits = acme.get(&format!("/jobs/{backfill}")).await.body()["waits_for"].clone();
    let bulk = waits.as_array().unwrap().iter().find(|wait| wait["code"] == "bulk");
    let expected = "bulk work gets one turn in 5 while interactive work of the tenant waits";
    assert_eq!(bulk.unwrap()["text"], expected, "{waits}");
    assert!(before(&api, &late).await <= 2);
}
