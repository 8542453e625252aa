//! However a job of a document ends, the document says so; and as long as it has not ended, it says what it waits for.

use jobs::JobId;
use jobs::queue::{JobState, RedisServer};
use jobs::tenant::{KbId, TenantContext};
use redis::AsyncCommands as _;
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::JobMark;
use tests::bed::{Bed, TestTenant, send};
use tests::reasons::every_document_has_a_reason;
use tests::texts;
use tests::wait::wait_for;

const NAME: &str = "heron.md";

async fn queue(tenant: &TestTenant, name: &str, what: &str) {
    let path = format!("/api/v1/tenants/{}/queues/{name}/{what}", tenant.id);
    let answer = tenant.http.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn upload(tenant: &TestTenant) -> JobId {
    let answer = tenant.upload(NAME, &texts::short("Bluebird")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body["job_id"].as_str().unwrap().parse().unwrap()
}

async fn document(tenant: &TestTenant) -> Value {
    tenant.document(NAME).await.body
}

/// The extraction that waits in a paused queue.
async fn extraction(tenant: &TestTenant) -> JobId {
    let path = format!("/api/v1/tenants/{}/jobs?type=entities.extract", tenant.id);
    wait_for("the extraction to be in the queue", async || {
        let found = tenant.http.get(&path).await.body;
        found["jobs"][0]["id"].as_str().map(|id| id.parse().unwrap()).ok_or(found)
    })
    .await
}

/// Changes a byte of a job's record on Redis.
async fn alter(bed: &Bed, server: &RedisServer, job: JobId, word: &[u8]) {
    let mut redis =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}:{{q.0}}:e", bed.queue_prefix());
    let mut record: Vec<u8> = redis.hget(&key, job.to_string()).await.unwrap();
    let at = record.windows(word.len()).position(|window| window == word).unwrap();
    record[at] ^= 1;
    let _: () = redis.hset(&key, job.to_string(), record).await.unwrap();
}

async fn kept(bed: &Bed, tenant: &TestTenant, job: JobId) {
    wait_for("the job to be kept", async || {
        let status = bed.queue().lookup(&tenant.id.parse().unwrap(), job).await.unwrap();
        match status.map(|status| status.state) {
            Some(JobState::Quarantined | JobState::Discarded) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// A job that was started again is what the document waits for, from that moment on.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_sets_the_document_back() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    queue(&acme, "documents", "pause").await;
    let job = upload(&acme).await;
    let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
    let (kb, id) = (KbId::first(), jobs::DocumentId::of_name(NAME));
    let sha256 = document(&acme).await["sha256"].as_str().unwrap().to_owned();
    let original = stores.blobs().original(&kb, &id, &sha256).await.unwrap().unwrap();
    stores.blobs().originals_forget(&kb, &id, None).await.unwrap();
    queue(&acme, "documents", "resume").await;
    let failed = acme.settled(NAME).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("original_missing")));
    kept(&bed, &acme, job).await;
    every_document_has_a_reason(&acme).await;

    stores.blobs().original_put(&kb, &id, &sha256, original).await.unwrap();
    queue(&acme, "documents", "pause").await;
    let path = format!("/api/v1/tenants/{}/dead-letters/{job}/retry", acme.id);
    let answer = acme.http.post(&path, &json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let again = document(&acme).await;
    assert_eq!((&again["status"], &again["error"]), (&json!("pending"), &Value::Null), "{again}");
    assert_eq!(again["waits_for"]["job_id"], json!(job.to_string()), "{again}");
    assert_eq!(again["waits_for"]["reasons"][0]["code"], "tenant_queue_paused", "{again}");
    every_document_has_a_reason(&acme).await;
    queue(&acme, "documents", "resume").await;
    assert_eq!(acme.settled(NAME).await["status"], "processed");
    every_document_has_a_reason(&acme).await;
    twin.ingest(NAME, &texts::short("Nightjar")).await;
}

/// Goal: the part of a document that was cancelled says so, although the process that cancelled it died before it told
/// the document. Method: only the first of its steps, while the part waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_cancelled_by_half_fails_its_document() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    queue(&acme, "enrich", "pause").await;
    upload(&acme).await;
    let part = extraction(&acme).await;
    let waits_for = document(&acme).await["waits_for"].clone();
    assert_eq!(
        (&waits_for["type"], &waits_for["job_id"]),
        (&json!("entities.extract"), &json!(part.to_string()))
    );
    assert_eq!(waits_for["reasons"][0]["code"], "tenant_queue_paused", "{waits_for}");
    every_document_has_a_reason(&acme).await;
    let catalog = bed.stores().scoped(&TenantContext::for_tests(&acme.id)).catalog();
    catalog.jobs_mark(&[part], JobMark::Cancelled, bed.now()).await.unwrap();
    queue(&acme, "enrich", "resume").await;
    let failed = acme.settled(NAME).await;
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("cancelled")),
        "{failed}"
    );
    bed.run_until_empty(&acme).await;
    every_document_has_a_reason(&acme).await;
}

/// A part that was altered never runs; another job does its work.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_was_altered_is_made_again() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (acme, _) = bed.look_alikes().await;
    queue(&acme, "enrich", "pause").await;
    upload(&acme).await;
    let part = extraction(&acme).await;
    alter(&bed, &server, part, b"entities.extract\",\"queue").await;
    queue(&acme, "enrich", "resume").await;
    assert_eq!(acme.settled(NAME).await["status"], "processed");
    kept(&bed, &acme, part).await;
    every_document_has_a_reason(&acme).await;
}

/// A document that waits for a job in quarantine names it, and fails when that is purged, also without a search for
/// lost work.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_told_to_the_document() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis_alone(&server.url()).await;
    let (acme, _) = bed.look_alikes().await;
    queue(&acme, "documents", "pause").await;
    let job = upload(&acme).await;
    alter(&bed, &server, job, b"documents").await;
    queue(&acme, "documents", "resume").await;
    kept(&bed, &acme, job).await;
    let waiting = document(&acme).await;
    assert_eq!(
        (&waiting["status"], &waiting["waits_for"]["state"]),
        (&json!("pending"), &json!("quarantined"))
    );
    assert_eq!(waiting["waits_for"]["error"]["code"], "envelope_altered", "{waiting}");
    every_document_has_a_reason(&acme).await;
    let path = format!("/api/v1/tenants/{}/dead-letters/{job}", acme.id);
    assert_eq!(send(acme.http.request(Method::DELETE, &path)).await.status, 204);
    let failed = document(&acme).await;
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("purged")),
        "{failed}"
    );
    every_document_has_a_reason(&acme).await;
}

/// A document whose job the queue has lost says that, until it has it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_job_is_a_reason() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis_alone(&server.url()).await;
    let (acme, _) = bed.look_alikes().await;
    queue(&acme, "documents", "pause").await;
    let job = upload(&acme).await;
    every_document_has_a_reason(&acme).await;
    let mut redis =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
    let lost = wait_for("the bookkeeping of the delivery", async || {
        let waits_for = document(&acme).await["waits_for"].clone();
        if waits_for["reasons"][0]["code"] == "lost" { Ok(waits_for) } else { Err(waits_for) }
    })
    .await;
    assert_eq!(lost["job_id"], json!(job.to_string()), "{lost}");
    every_document_has_a_reason(&acme).await;
}
