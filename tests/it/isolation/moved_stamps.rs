//! Jobs of every type whose stamp an attacker with access to Redis turns into another tenant's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::queue::JobState;
use jobs::{JobId, JobKind};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tests::bed::{Bed, Snapshot, TestTenant};
use tests::texts;
use tests::wait::wait_for;

use super::bait;
use super::described::{Asker, stamped};

/// Jobs of every type on the tenant's own data, that start in a moment: there is time to change them.
async fn in_a_moment(bed: &Bed, tenant: &TestTenant) -> Vec<StampedJob> {
    let options =
        EnqueueOptions { scheduled_at: Some(bed.now() + Duration::seconds(3)), ..EnqueueOptions::default() };
    let ids = bait::ids(tenant).swap_remove(0);
    let asker = Asker::of(&tenant.id);
    let jobs = JobKind::ALL.iter().map(|kind| stamped(*kind, bed.stamper(), &asker, &ids, options));
    let jobs: Vec<_> = jobs.collect();
    bed.queue().push(&jobs).await.unwrap();
    jobs
}

struct Records {
    redis: MultiplexedConnection,
    key: String,
}

impl Records {
    async fn of(bed: &Bed) -> Self {
        let client = redis::Client::open(bed.redis_url().expose_secret()).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        Self { redis, key: format!("{}:{{q.0}}:e", bed.queue_prefix()) }
    }

    /// Replaces text in the record of a job.
    async fn edit(&mut self, job: JobId, from: &str, to: &str) {
        let record: String = self.redis.hget(&self.key, job.to_string()).await.unwrap();
        assert!(record.contains(from), "{record} has no {from}");
        let () = self.redis.hset(&self.key, job.to_string(), record.replace(from, to)).await.unwrap();
    }
}

/// The stamp of `job` with the claim that it is `tenant`'s, signed as it was.
fn claimed_by(job: &StampedJob, tenant: &str) -> (String, String) {
    let wire: Value = serde_json::from_str(job.wire()).unwrap();
    let stamp = wire["stamp"].as_str().unwrap();
    let [header, claims, signature] = stamp.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut edited: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let name = edited.as_object().unwrap().iter().find(|(_, value)| **value == job.tenant_id().as_str());
    let name = name.expect("a claim names the tenant").0.clone();
    edited[name] = json!(tenant);
    let edited = URL_SAFE_NO_PAD.encode(edited.to_string());
    (stamp.to_owned(), format!("{header}.{edited}.{signature}"))
}

async fn put_aside(bed: &Bed, tenant: &TestTenant, job: JobId) -> String {
    let tenant = tenant.id.parse().unwrap();
    wait_for("the job to be put aside", async || {
        let status = bed.queue().lookup(&tenant, job).await.map_err(|error| error.to_string())?;
        match status {
            Some(found) if found.state == JobState::Quarantined => Ok(found.reason.unwrap().code),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn filled(bed: &Bed) -> (TestTenant, TestTenant) {
    let (acme, twin) = bed.look_alikes().await;
    for tenant in [&acme, &twin] {
        tenant.ingest("heron.md", &texts::short("Quietwater")).await;
    }
    (acme, twin)
}

#[tokio::test]
async fn an_edited_claim_is_put_aside() {
    let bed = Bed::embedded().await;
    let (acme, twin) = filled(&bed).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let jobs = in_a_moment(&bed, &twin).await;
    let mut records = Records::of(&bed).await;
    for job in &jobs {
        let (from, to) = claimed_by(job, &acme.id);
        records.edit(job.id(), &from, &to).await;
    }
    for (kind, job) in JobKind::ALL.iter().zip(&jobs) {
        assert_eq!(put_aside(&bed, &twin, job.id()).await, "stamp_bad_signature", "{kind}");
    }
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
    assert_eq!(Snapshot::of(bed.stores(), &twin.id).await, before);
}

/// The whole job with its stamp, in the place of another tenant's.
#[tokio::test]
async fn a_job_in_another_tenants_queue_is_put_aside() {
    let bed = Bed::embedded().await;
    let (acme, twin) = filled(&bed).await;
    let before = Snapshot::of(bed.stores(), &acme.id).await;
    let (theirs, jobs) = (in_a_moment(&bed, &acme).await, in_a_moment(&bed, &twin).await);
    let mut records = Records::of(&bed).await;
    for (place, job) in theirs.iter().zip(&jobs) {
        records.edit(place.id(), place.wire(), job.wire()).await;
    }
    for (kind, place) in JobKind::ALL.iter().zip(&theirs) {
        assert_eq!(put_aside(&bed, &acme, place.id()).await, "foreign_queue", "{kind}");
    }
    assert_eq!(Snapshot::of(bed.stores(), &acme.id).await, before);
}
