//! The commands that speak to the API, as a person or a script types them.

mod bulk;
mod doctor;
mod examples;
mod profiles;
mod reading;
mod refusals;
mod stub;
mod top;
mod upload;

use chrono::TimeDelta;
use jobs::envelope::{EnqueueOptions, Unique};
use jobs::types::ReindexKb;
use tests::bed::{Bed, TestTenant};
use tests::cli::Cli;
use tests::wait::wait_for;

/// The program with the operator's key, about a tenant.
fn operator(bed: &Bed) -> Cli {
    let operator = bed.operator();
    Cli::new(&bed.url(), operator.key())
}

/// The program with a tenant's first key.
fn member(bed: &Bed, tenant: &TestTenant) -> Cli {
    Cli::new(&bed.url(), tenant.http.key())
}

/// A document without text, whose job fails for good. The job's id.
async fn dead_letter(tenant: &TestTenant, name: &str) -> String {
    let answer = tenant.upload_file(name, "text/html", b"<p></p>").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.body["job_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/tenants/{}/dead-letters/{job}", tenant.id);
    wait_for("the job to fail for good", async || {
        let answer = tenant.http.get(&path).await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    job
}

/// A job that waits for its time, a day ahead. Its id.
async fn scheduled_job(bed: &Bed, tenant: &TestTenant) -> String {
    let later = EnqueueOptions {
        scheduled_at: Some(bed.now() + TimeDelta::days(1)),
        // Beside another one that waits.
        unique: Some(Unique::idempotency_key(&uuid::Uuid::now_v7().to_string())),
        ..EnqueueOptions::default()
    };
    bed.push_with(tenant, &ReindexKb::default(), later).await.to_string()
}

/// A job that waits, because its queue is paused. Its id.
async fn waiting_job(tenant: &TestTenant) -> String {
    let paused = tenant
        .http
        .post(&format!("/api/v1/tenants/{}/queues/maintenance/pause", tenant.id), &serde_json::json!({}))
        .await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let mut answer = tenant.http.post(&tenant.kb("reindex"), &serde_json::json!({})).await;
    if answer.body["existing"] == true {
        // One that waits is enough for a knowledge base.
        let kbs = format!("/api/v1/tenants/{}/kbs", tenant.id);
        let made = tenant.http.post(&kbs, &serde_json::json!({ "name": "One more" })).await;
        assert_eq!(made.status, 201, "{made:?}");
        let kb = made.body["id"].as_str().unwrap();
        answer = tenant.http.post(&format!("{kbs}/{kb}/reindex"), &serde_json::json!({})).await;
    }
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body["job_id"].as_str().unwrap().to_owned()
}
