//! An attacker with access to Redis changes, forges or moves jobs. None reaches a handler, each is quarantined with
//! the reason, and the next job runs.

use chrono::Duration;
use jobs::clock::{Clock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::queue::JobStatus;
use jobs::tenant::TenantContext;
use jobs::types::ReindexKb;
use jobs::{DocumentId, Job, JobId};
use redis::AsyncCommands;
use secrecy::ExposeSecret;
use std::sync::Arc;
use tests::bed::{Bed, TestTenant};
use tests::wait::wait_for;

/// A job that starts in a moment, so that there is time to change it on Redis.
fn in_a_moment<J: Job>(stamper: &Stamper, tenant: &TestTenant, job: &J) -> StampedJob {
    let due = SystemClock.now() + Duration::milliseconds(1500);
    let options = EnqueueOptions { scheduled_at: Some(due), ..EnqueueOptions::default() };
    stamper.stamp(&TenantContext::for_tests(&tenant.id), job, options).unwrap()
}

async fn put_aside(bed: &Bed, tenant: &TestTenant, job: JobId) -> JobStatus {
    let tenant = tenant.id.parse().unwrap();
    wait_for("the job to be put aside", async || {
        let status = bed.queue().lookup(&tenant, job).await.map_err(|error| error.to_string())?;
        let aside = status.as_ref().is_some_and(|status| status.state.as_str() == "quarantined");
        if aside { Ok(status.unwrap()) } else { Err(format!("{status:?}")) }
    })
    .await
}

/// The worker is alive and well: a document that comes after goes through.
async fn next_job_runs(tenant: &TestTenant) {
    tenant.ingest("after.md", &tests::texts::short("Bluebird")).await;
}

#[tokio::test]
async fn one_byte_changed() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = in_a_moment(bed.stamper(), &acme, &ReindexKb::default());
    bed.queue().push(std::slice::from_ref(&job)).await.unwrap();

    let client = redis::Client::open(bed.redis_url().expose_secret()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}:{{q.0}}:e", bed.queue_prefix());
    let mut record: Vec<u8> = redis.hget(&key, job.id().to_string()).await.unwrap();
    let at =
        record.windows(11).position(|window| window == b"maintenance").expect("the envelope names its queue");
    record[at] ^= 0x01;
    let _: () = redis.hset(&key, job.id().to_string(), record).await.unwrap();

    let status = put_aside(&bed, &acme, job.id()).await;
    assert_eq!(status.reason.unwrap().code, "envelope_altered");
    next_job_runs(&acme).await;
}

#[tokio::test]
async fn signed_by_an_unknown_key() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let foreign = StampKeys::parse(&StampKeys::generate("foreign")).unwrap();
    let foreign = Stamper::new(foreign, Arc::new(SystemClock));
    let job = in_a_moment(&foreign, &acme, &ReindexKb::default());
    bed.queue().push(std::slice::from_ref(&job)).await.unwrap();
    let status = put_aside(&bed, &acme, job.id()).await;
    assert_eq!(status.reason.unwrap().code, "stamp_unknown_key");
    next_job_runs(&acme).await;
}

#[tokio::test]
async fn for_a_tenant_that_is_gone() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let ghost = TestTenant { id: format!("{}-ghost", acme.id), ..acme.clone() };
    let job = in_a_moment(bed.stamper(), &ghost, &ReindexKb::default());
    bed.queue().push(std::slice::from_ref(&job)).await.unwrap();
    let status = put_aside(&bed, &ghost, job.id()).await;
    assert_eq!(status.reason.unwrap().code, "tenant_unknown");
    next_job_runs(&acme).await;
}

/// A job whose type no worker declares waits visibly and does not delay other jobs.
#[tokio::test]
async fn of_a_type_that_no_worker_declares() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct FromTheFuture {
        document_id: DocumentId,
    }
    impl Job for FromTheFuture {
        const TYPE: &'static str = "document.translate";
        const QUEUE: &'static str = "documents";
        const PERMISSION: jobs::tenant::Permission = jobs::tenant::Permission::DocumentUpdate;
        const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
    }
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let job = bed.push(&acme, &FromTheFuture { document_id: DocumentId::of_name("a.md") }).await;
    next_job_runs(&acme).await;
    let path = format!("/api/v1/tenants/{}/jobs/{job}", acme.id);
    let view = acme.http.get(&path).await.body;
    assert_eq!(view["state"], "available", "{view}");
    assert!(
        view["waits_for"][0]["text"].as_str().is_some_and(|why| why.contains("document.translate")),
        "{view}"
    );
}
