use jobs::JobId;
use jobs::envelope::EnqueueOptions;
use jobs::tenant::TenantContext;
use jobs::types::ReindexKb;
use reqwest::Method;
use serde_json::json;
use stores::model::{Acceptance, Accepted};
use tests::bed::{Bed, Snapshot, TestTenant, send};
use tests::texts;
use tests::wait::wait_for;

async fn flow(tenant: &TestTenant, queue: &str, how: &str) {
    let path = format!("/api/v1/tenants/{}/queues/{queue}/{how}", tenant.id);
    let answer = tenant.http.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Through the API: every document is read again and the graph is as before.
#[tokio::test]
async fn happy_path() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    for name in ["one.md", "two.md", "three.md"] {
        acme.ingest(name, &texts::short(name)).await;
    }
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let answer = acme.http.post(&acme.kb("reindex"), &json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    let path = format!("/api/v1/tenants/{}/jobs", acme.id);
    let jobs = acme.http.get(&path).await;
    assert!(jobs.body["totals"]["completed"].as_u64() >= Some(3 + 3 + 3 + 1), "{jobs:?}");
}

#[tokio::test]
async fn twice_is_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    acme.ingest("one.md", &texts::short("Bluebird")).await;
    let once = Snapshot::of(bed.stores(), &acme.id).await;
    for _ in 0..2 {
        // While one waits, a second one is not enqueued.
        let job = bed.push(&acme, &ReindexKb::default()).await;
        assert_eq!(bed.ended(&acme, job).await["state"], "completed");
    }
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, once);
}

/// Goal: however often and by whom a reindex is asked for, documents are read once for all who asked before it began.
/// Method: with the queue of reindexes paused, a person asks three times and a schedule is run; with the queue of
/// documents paused, the reindex that runs meets documents that wait already.
#[tokio::test]
async fn identical_reindexes_become_one() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    for name in ["one.md", "two.md"] {
        acme.ingest(name, &texts::short(name)).await;
    }
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    flow(&acme, "maintenance", "pause").await;
    flow(&acme, "documents", "pause").await;
    let reindex = async |path: &str| {
        let answer = acme.http.post(&acme.kb(path), &json!({})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        (answer.body["job_id"].clone(), answer.body["existing"].clone())
    };
    let (first, existing) = reindex("reindex").await;
    assert_eq!(existing, json!(false));
    let nightly = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let made = acme.http.request(Method::PUT, &acme.kb("schedules/nightly")).json(&nightly);
    assert_eq!(send(made).await.status, 200);
    for path in ["reindex", "reindex", "schedules/nightly/run"] {
        assert_eq!(reindex(path).await, (first.clone(), json!(true)), "{path}");
    }
    let theirs = other.http.post(&other.kb("reindex"), &json!({})).await.body;
    assert_eq!(theirs["existing"], false, "the other tenant's is another one");

    flow(&acme, "maintenance", "resume").await;
    let first: JobId = serde_json::from_value(first).unwrap();
    assert_eq!(bed.ended(&acme, first).await["state"], "completed");
    let document = async |name: &str| acme.document(name).await.body;
    let waits = [document("one.md").await, document("two.md").await];
    assert_eq!(waits[0]["status"], "pending", "{waits:?}");
    // What waits is left alone by the next one.
    let (second, existing) = reindex("reindex").await;
    assert_eq!(existing, json!(false), "the first has begun: it may have read documents already");
    let second: JobId = serde_json::from_value(second).unwrap();
    assert_eq!(bed.ended(&acme, second).await["state"], "completed");
    assert_eq!([document("one.md").await, document("two.md").await], waits);

    flow(&acme, "documents", "resume").await;
    bed.run_until_empty(&acme).await;
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
}

/// Goal: of two that are accepted at the same moment one runs, and the other says which.
#[tokio::test]
async fn one_that_the_queue_refuses_names_the_other() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    flow(&acme, "maintenance", "pause").await;
    let waits = bed.push(&acme, &ReindexKb::default()).await;
    let context = TenantContext::for_tests(&acme.id);
    let late = bed.stamper().stamp(&context, &ReindexKb::default(), EnqueueOptions::default()).unwrap();
    let acceptance = Acceptance { jobs: vec![late.clone()], ..Acceptance::default() };
    let catalog = bed.stores().scoped(&context).catalog();
    assert_eq!(catalog.accept(&acceptance, bed.now()).await.unwrap(), Accepted::New);
    let ended = bed.ended(&acme, late.id()).await;
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(ended["error"]["code"], "same_work", "{ended}");
    assert!(ended["error"]["detail"].as_str().unwrap().contains(&waits.to_string()), "{ended}");
    wait_for("nothing but the first to be expected", async || {
        let expected = catalog.unfinished(10).await.unwrap();
        if expected.contains(&late.id()) { Err(expected) } else { Ok(()) }
    })
    .await;
    flow(&acme, "maintenance", "resume").await;
    assert_eq!(bed.ended(&acme, waits).await["state"], "completed");
}

/// An empty knowledge base has nothing to reindex.
#[tokio::test]
async fn gone_is_ok() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &ReindexKb::default()).await;
    assert_eq!(bed.ended(&acme, job).await["state"], "completed");
}

#[tokio::test]
async fn other_tenant_untouched() {
    let bed = Bed::embedded().await;
    let (acme, other) = bed.look_alikes().await;
    acme.ingest("heron.md", &texts::short("Bluebird")).await;
    other.ingest("heron.md", &texts::short("Nightjar")).await;
    let document = other.document("heron.md").await;
    bed.push(&acme, &ReindexKb::default()).await;
    bed.run_until_empty(&acme).await;
    assert_eq!(other.document("heron.md").await.body, document.body, "not even a time stamp moved");
}
