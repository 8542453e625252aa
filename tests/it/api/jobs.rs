use jobs::JobId;
use jobs::clock::Clock as _;
use serde_json::json;
use stores::model::JobRecord;
use tests::api::{Api, problem};

#[tokio::test]
async fn a_waiting_job_says_what_it_waits_for() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    let view = acme.get(&format!("/jobs/{job}")).await.body();
    assert_eq!(view["id"], job);
    assert_eq!((&view["type"], &view["queue"]), (&"document.ingest".into(), &"documents".into()));
    assert_eq!((&view["state"], &view["attempt"]), (&"available".into(), &0.into()));
    assert_eq!(view["created_at"], "2027-01-15T08:00:00Z");
    let waits_for = json!([{ "code": "no_worker", "text": "no live worker declares document.ingest@1" }]);
    assert_eq!(view["waits_for"], waits_for);
    let counts = acme.get("/jobs").await.body();
    assert_eq!(counts["counts"]["available"], 2, "{counts}");
    assert_eq!(counts["waiting_for_a_worker"]["document.ingest@1"], 1, "{counts}");
}

#[tokio::test]
async fn a_job_that_ended_is_remembered() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let now = api.clock.now();
    let record = JobRecord {
        parent: None,
        batch: None,
        trace_id: None,
        id: JobId::generate(now),
        kind: "document.ingest".into(),
        kb: None,
        queue: "documents".into(),
        state: "discarded".into(),
        attempts: 3,
        error: Some(("too_complex".into(), "split it".into())),
        created_at: now,
        started_at: Some(now),
        finished_at: now,
    };
    acme.stores.catalog().history_insert(std::slice::from_ref(&record)).await.unwrap();
    let view = acme.get(&format!("/jobs/{}", record.id)).await.body();
    assert_eq!((&view["state"], &view["attempt"]), (&"discarded".into(), &3.into()));
    assert_eq!(
        (&view["error"]["code"], &view["error"]["detail"]),
        (&"too_complex".into(), &"split it".into())
    );
    assert_eq!(view["finished_at"], "2027-01-15T08:00:00Z");
}

#[tokio::test]
async fn jobs_that_are_not_there_are_all_the_same() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let theirs = other.upload_text("a.md", "text").await.text("/job_id");
    let unknown = JobId::generate(api.clock.now()).to_string();
    for id in [theirs.as_str(), &unknown, "1", "..%2F..%2Fjobs"] {
        problem(&acme.get(&format!("/jobs/{id}")).await, 404, "not_found");
    }
}

#[tokio::test]
async fn jobs_are_listed_and_cancelled_by_priority() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.upload_text("a.md", "text").await;
    let reindex = acme.post("/kbs/default/reindex", &json!({})).await.text("/job_id");
    let listed = async |query: &str| {
        let page = acme.get(&format!("/jobs{query}")).await.body();
        let rows = page["jobs"].as_array().unwrap().iter();
        rows.map(|job| {
            (job["type"].as_str().unwrap().to_owned(), job["priority"].as_str().unwrap().to_owned())
        })
        .collect::<Vec<_>>()
    };
    let row = |kind: &str, priority: &str| (kind.to_owned(), priority.to_owned());
    assert_eq!(listed("?priority=low").await, [row("kb.reindex", "low")]);
    assert_eq!(listed("?priority=low,normal&type=document.ingest").await, [row("document.ingest", "normal")]);
    assert_eq!(listed("?priority=background").await, []);
    let bad = acme.get("/jobs?priority=urgent").await;
    problem(&bad, 400, "invalid_query");
    assert_eq!(bad.text("/detail"), "`priority`: expected one of high, normal, low, background");
    let cancelled = acme.post("/jobs/cancel", &json!({ "priorities": ["low"] })).await.body();
    assert_eq!(cancelled["cancelled"], 1, "{cancelled}");
    assert_eq!(acme.get(&format!("/jobs/{reindex}")).await.body()["state"], "cancelled");
    problem(&acme.post("/jobs/cancel", &json!({ "priorities": ["urgent"] })).await, 400, "invalid_field");
}
