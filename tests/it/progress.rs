//! Live progress of a whole system: a document's stages, a job's reports, a batch to its end, and its cancellation.

use reqwest::Method;
use serde_json::{Value, json};
use tests::bed::{Bed, TestTenant, postgres_alone, send};
use tests::events::EventStream;
use tests::texts;
use tests::wait::wait_for;

async fn follows_a_batch_to_its_end(bed: &Bed) {
    let (acme, twin) = bed.look_alikes().await;
    let path = |tenant: &TestTenant, rest: &str| format!("/api/v1/tenants/{}{rest}", tenant.id);
    let mut all = EventStream::ready(acme.http.request(Method::GET, &path(&acme, "/events"))).await;
    let mut twins = EventStream::ready(twin.http.request(Method::GET, &path(&twin, "/events"))).await;
    let documents: Vec<_> =
        (0..3).map(|n| json!({ "name": format!("{n}.md"), "text": texts::long("Bluebird") })).collect();
    let sent = acme.http.post(&acme.kb("documents/batch"), &json!({ "documents": documents })).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let batch = sent.body["batch_id"].as_str().unwrap();
    let of_batch = path(&acme, &format!("/batches/{batch}/events"));
    let mut stream = EventStream::ready(acme.http.request(Method::GET, &of_batch)).await;
    let done = stream.until("the batch is done", |event| event.data["state"] == "done").await;
    assert_eq!(done.data["progress"], json!({ "done": 3, "total": 3 }));
    assert_eq!((&done.data["counts"]["processed"], &done.data["failures"]), (&json!(3), &json!([])));

    // The tenant's listener was told of every document, through all its stages.
    let (mut processed, mut stages, mut jobs) = (0, Vec::new(), 0);
    while processed < 3 {
        let event = all.next().await.unwrap();
        match event.name.as_str() {
            "document" if event.data["status"] == "processed" => {
                assert_eq!(event.data["batch_id"], batch);
                processed += 1;
            }
            "progress" => stages.extend(event.data["stage"].as_str().map(str::to_owned)),
            "job" => jobs += usize::from(event.data["state"] == "completed"),
            _ => {}
        }
    }
    for stage in ["reading", "extracting", "building"] {
        assert!(stages.iter().any(|seen| seen == stage), "{stages:?}");
    }
    assert!(jobs >= 3, "{jobs}");
    let job = acme.http.get(&path(&acme, &format!("/jobs/{}", sent.body["job_id"].as_str().unwrap()))).await;
    let progress = &job.body["progress"];
    assert_eq!((&progress["message"], &progress["done"]), (&json!("reading"), &progress["total"]), "{job:?}");
    // What works on its documents says so, also after it has ended.
    let first = sent.body["job_id"].as_str().unwrap();
    let children = acme.http.get(&path(&acme, &format!("/jobs/{first}/children"))).await.body;
    let children: Vec<_> =
        children["jobs"].as_array().unwrap().iter().map(|child| child["id"].clone()).collect();
    assert!(children.len() > 1, "jobs that extract, and one that builds: {children:?}");
    for job in children.iter().filter_map(Value::as_str).chain([first]) {
        let shown = acme.http.get(&path(&acme, &format!("/jobs/{job}"))).await.body;
        assert_eq!(shown["batch_id"], batch, "{shown}");
    }
    let document = acme.document("0.md").await.body;
    assert_eq!((&document["stage"], &document["status"]), (&Value::Null, &json!("processed")));

    // The other tenant's listener hears of its own document first.
    twin.ingest("own.md", &texts::short("Kestrel")).await;
    let own = twins.until("its own document", |event| event.name == "document").await;
    assert_eq!(own.data["document_id"], jobs::DocumentId::of_name("own.md").as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_followed_to_its_end_on_files() {
    follows_a_batch_to_its_end(&Bed::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_followed_to_its_end_on_postgres() {
    let (bed, _database) = postgres_alone().await;
    follows_a_batch_to_its_end(&bed).await;
}

/// A large batch that is cancelled while workers are at it ends at once, and nothing of it runs on.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_worked_on_is_cancelled() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let documents: Vec<_> =
        (0..40).map(|n| json!({ "name": format!("{n}.md"), "text": texts::long("Bluebird") })).collect();
    let sent = acme.http.post(&acme.kb("documents/batch"), &json!({ "documents": documents })).await;
    let path = format!("/api/v1/tenants/{}/batches/{}", acme.id, sent.body["batch_id"].as_str().unwrap());
    wait_for("a worker to be at it", async || {
        let batch = acme.http.get(&path).await.body;
        if batch["counts"]["pending"] == 40 { Err(batch) } else { Ok(()) }
    })
    .await;
    let cancelled = send(acme.http.request(Method::POST, &format!("{path}/cancel"))).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    let batch = acme.http.get(&path).await.body;
    assert_eq!((&batch["state"], &batch["progress"]["done"]), (&json!("cancelled"), &json!(40)), "{batch}");
    bed.run_until_empty(&acme).await;
    assert_eq!(acme.http.get(&path).await.body["counts"], batch["counts"], "nothing ran on");
    twin.ingest("own.md", &texts::short("Kestrel")).await;
}

/// A document that is read again is still one of its batch, and so is the job that does it.
#[tokio::test(flavor = "multi_thread")]
async fn what_reads_documents_again_is_of_their_batch() {
    let bed = Bed::embedded().await;
    let acme = bed.provision("acme").await;
    let sent = acme.upload("notes.md", &texts::short("Bluebird")).await;
    bed.run_until_empty(&acme).await;
    let path = |rest: &str| format!("/api/v1/tenants/{}{rest}", acme.id);
    let reindex = acme.http.post(&acme.kb("reindex"), &json!({})).await;
    bed.run_until_empty(&acme).await;
    let reindex = reindex.body["job_id"].as_str().unwrap();
    assert_eq!(acme.http.get(&path(&format!("/jobs/{reindex}"))).await.body["batch_id"], Value::Null);
    let children = acme.http.get(&path(&format!("/jobs/{reindex}/children"))).await.body;
    let again = children["jobs"][0]["id"].as_str().unwrap();
    assert_eq!(acme.http.get(&path(&format!("/jobs/{again}"))).await.body["batch_id"], sent.body["batch_id"]);
}
