//! `POST …/jobs/{job}/reschedule`.

use std::time::Duration;

use jobs::queue::Verdict;
use jobs::{JobId, queue::JobState};
use serde_json::json;
use tests::api::{Api, ApiTenant, Reply, Written, problem};

/// Has passed by every clock: the queue's is that of its Redis.
const NOW: &str = "2020-01-01T00:00:00Z";

async fn reschedule(tenant: &ApiTenant, job: &str, at: &str) -> Reply {
    tenant.post(&format!("/jobs/{job}/reschedule"), &json!({ "scheduled_at": at })).await
}

/// A job whose next attempt is an hour away.
async fn retryable(api: &Api, tenant: &ApiTenant, name: &str) -> String {
    let job = tenant.upload_text(name, "text").await.text("/job_id");
    let hour = Duration::from_secs(3_600);
    let verdict = move |_: &_| Verdict::Retry { after: hour, error: "the model is away".into() };
    api.work(tenant, verdict).await;
    job
}

#[tokio::test]
async fn the_next_attempt_comes_when_it_was_asked_for() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let job = retryable(&api, &acme, "a.md").await;
    let others = retryable(&api, &twin, "a.md").await;
    let before = Written::of(&api, &twin).await;
    problem(&reschedule(&acme, &others, NOW).await, 404, "not_found");
    let reply = reschedule(&acme, &job, NOW).await;
    assert_eq!((reply.status, reply.text("/outcome").as_str()), (202, "rescheduled"), "{reply:?}");
    assert_eq!(Written::of(&api, &twin).await, before);
    let claim = api.claim().await;
    let ids: Vec<_> = claim.jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(ids, [job.as_str()]);
    assert_eq!(reschedule(&acme, &job, NOW).await.text("/outcome"), "not_scheduled", "it runs");
    let lookup = api.queue.lookup(&"acme".parse().unwrap(), job.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((lookup.state, lookup.attempts), (JobState::Active, 1));
}

#[tokio::test]
async fn what_cannot_be_rescheduled_says_so() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let job = retryable(&api, &acme, "a.md").await;
    let far = reschedule(&acme, &job, "2099-01-01T00:00:00Z").await;
    problem(&far, 400, "invalid_field");
    assert_eq!(far.text("/field"), "scheduled_at");
    let waits = acme.upload_text("b.md", "text").await.text("/job_id");
    assert_eq!(
        reschedule(&acme, &waits, NOW).await.text("/outcome"),
        "not_scheduled",
        "it waits for a worker"
    );
    let empty = acme.post(&format!("/jobs/{waits}/reschedule"), &json!({})).await;
    problem(&empty, 400, "invalid_field");
    assert_eq!(api.work(&acme, |_: &_| Verdict::Completed).await, 1);
    assert_eq!(reschedule(&acme, &waits, NOW).await.text("/outcome"), "ended");
    let unknown = JobId::generate(Api::start_time()).to_string();
    problem(&reschedule(&acme, &unknown, NOW).await, 404, "not_found");
}
