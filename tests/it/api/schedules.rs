use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Reply, problem, send};

async fn put(tenant: &ApiTenant, name: &str, body: &Value) -> Reply {
    send(tenant.request(Method::PUT, &format!("/kbs/default/schedules/{name}")).json(body)).await
}

#[tokio::test]
async fn a_schedule_is_made_shown_replaced_and_removed() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let nightly = json!({ "cron": "0 3 * * *", "time_zone": "Europe/Berlin", "type": "kb.reindex" });
    let made = put(&acme, "nightly", &nightly).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.text("/next_fire_at"), "2027-01-16T02:00:00Z");
    let later = json!({ "cron": "0 4 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    assert_eq!(put(&acme, "nightly", &later).await.text("/next_fire_at"), "2027-01-16T04:00:00Z");
    let listed = acme.get("/kbs/default/schedules").await.body();
    assert_eq!(listed["schedules"].as_array().unwrap().len(), 1);
    assert_eq!(listed["schedules"][0], acme.get("/kbs/default/schedules/nightly").await.body());
    let remove = || send(acme.request(Method::DELETE, "/kbs/default/schedules/nightly"));
    let removed = remove().await;
    assert_eq!((removed.status, removed.bytes.len()), (204, 0));
    problem(&remove().await, 404, "not_found");
    problem(&acme.get("/kbs/default/schedules/nightly").await, 404, "not_found");
}

#[tokio::test]
async fn schedules_that_cannot_be_kept_are_refused() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    for (cron, time_zone, kind, code) in [
        ("0 3 * *", "UTC", "kb.reindex", "invalid_cron"),
        ("0 0 30 2 *", "UTC", "kb.reindex", "invalid_cron"),
        ("0 3 * * *", "Mars/Olympus", "kb.reindex", "invalid_time_zone"),
        ("* * * * *", "UTC", "kb.reindex", "schedule_too_frequent"),
        ("0 3 * * *", "UTC", "tenant.provision", "invalid_field"),
    ] {
        let body = json!({ "cron": cron, "time_zone": time_zone, "type": kind });
        problem(&put(&acme, "nightly", &body).await, 400, code);
    }
    let body = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    problem(&put(&acme, "Nightly", &body).await, 400, "invalid_field");
    assert_eq!(acme.get("/kbs/default/schedules").await.body()["schedules"], json!([]));
}
