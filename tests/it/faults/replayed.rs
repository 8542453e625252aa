//! Jobs that were cancelled are put back into Redis: with a snapshot, or by hand. None runs again.

use chrono::Duration;
use jobs::clock::{Clock, SystemClock};
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::tenant::TenantContext;
use jobs::types::ReindexKb;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use secrecy::ExposeSecret;
use stores::model::JobRecord;
use tests::bed::{Bed, TestTenant, send};
use tests::wait::wait_for;

async fn redis(bed: &Bed) -> MultiplexedConnection {
    let client = redis::Client::open(bed.redis_url().expose_secret()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// A job that is still there when it is cancelled.
async fn later(bed: &Bed, tenant: &TestTenant) -> (StampedJob, Vec<u8>) {
    let due = SystemClock.now() + Duration::hours(1);
    let options = EnqueueOptions { scheduled_at: Some(due), ..EnqueueOptions::default() };
    let context = TenantContext::for_tests(&tenant.id);
    let job = bed.stamper().stamp(&context, &ReindexKb::default(), options).unwrap();
    bed.queue().push(std::slice::from_ref(&job)).await.unwrap();
    let key = format!("{}:{{q.0}}:e", bed.queue_prefix());
    let record = redis(bed).await.hget(&key, job.id().to_string()).await.unwrap();
    (job, record)
}

/// Puts the record back unchanged, due at once, in the queue's current epoch.
async fn put_back(bed: &Bed, tenant: &TestTenant, job: &StampedJob, record: &[u8]) {
    let (mut redis, key) = (redis(bed).await, |name: &str| format!("{}:{{q.0}}:{name}", bed.queue_prefix()));
    let epoch: Option<u32> = redis.hget(key(&format!("t:{}:S", tenant.id)), "ep").await.unwrap();
    let mut record = record.to_vec();
    record[12..16].copy_from_slice(format!("{:04}", epoch.unwrap_or(0)).as_bytes());
    let id = job.id().to_string();
    let _: () = redis.hset(key("e"), &id, record).await.unwrap();
    let _: () = redis.hdel(key(&format!("t:{}:H", tenant.id)), &id).await.unwrap();
    let _: () = redis.zadd(key(&format!("t:{}:s", tenant.id)), &id, 1).await.unwrap();
    let _: () = redis.zadd(key("w"), format!("s{}", tenant.id), 1).await.unwrap();
}

/// What is written down of the job, and how many of the tenant's jobs have completed.
async fn ends(bed: &Bed, tenant: &TestTenant, job: &StampedJob) -> (Option<JobRecord>, u64) {
    let stores = bed.stores().scoped(&TenantContext::for_tests(&tenant.id));
    let stats = bed.queue().stats(&tenant.id.parse().unwrap()).await.unwrap();
    (stores.catalog().history(job.id()).await.unwrap(), stats.completed_total)
}

/// Puts the record back and waits until the job is dropped. Its handler does not run.
async fn assert_dropped(bed: &Bed, tenant: &TestTenant, job: &StampedJob, record: &[u8]) {
    bed.run_until_empty(tenant).await;
    let before = ends(bed, tenant, job).await;
    assert!(before.0.as_ref().is_none_or(|record| record.started_at.is_none()), "{before:?}");
    put_back(bed, tenant, job, record).await;
    let name = tenant.id.parse().unwrap();
    wait_for("the job to be dropped", async || {
        let status = bed.queue().lookup(&name, job.id()).await.map_err(|error| error.to_string())?;
        let cancelled = status.as_ref().is_some_and(|status| status.state.as_str() == "cancelled");
        if cancelled { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(ends(bed, tenant, job).await, before, "its handler did not run");
}

#[tokio::test]
async fn a_cancelled_job_that_is_put_back_does_not_run() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let (job, record) = later(&bed, &acme).await;
    let path = format!("/api/v1/tenants/{}/jobs/{}", acme.id, job.id());
    let cancelled = send(acme.http.request(Method::DELETE, &path)).await;
    assert_eq!(cancelled.body["outcome"], "cancelled", "{cancelled:?}");
    assert_dropped(&bed, &acme, &job, &record).await;
}

#[tokio::test]
async fn what_was_cancelled_with_everything_does_not_run_when_it_is_put_back_and_later_work_does() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let (job, record) = later(&bed, &acme).await;
    let path = format!("/api/v1/tenants/{}/jobs/cancel-all", acme.id);
    assert_eq!(acme.http.post(&path, &serde_json::json!({})).await.status, 202);
    assert_dropped(&bed, &acme, &job, &record).await;
    acme.ingest("after.md", &tests::texts::short("Bluebird")).await;
}
