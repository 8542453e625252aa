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
