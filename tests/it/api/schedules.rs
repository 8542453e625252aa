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

#[tokio::test]
async fn a_paused_schedule_says_so_until_it_is_resumed() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let nightly = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    for tenant in [&acme, &twin] {
        assert_eq!(put(tenant, "nightly", &nightly).await.body()["paused"], false);
    }
    let ask =
        async |what: &str| acme.post(&format!("/kbs/default/schedules/nightly/{what}"), &json!({})).await;
    for _ in 0..2 {
        let paused = ask("pause").await;
        assert_eq!((paused.status, &paused.body()["paused"]), (200, &json!(true)));
    }
    let replaced = put(&acme, "nightly", &nightly).await.body();
    assert_eq!(
        (&replaced["paused"], &replaced["next_fire_at"]),
        (&json!(true), &json!("2027-01-16T03:00:00Z"))
    );
    // Two days later, what it missed is not made up for.
    api.clock.advance(std::time::Duration::from_secs(2 * 24 * 3_600));
    for _ in 0..2 {
        let resumed = ask("resume").await.body();
        assert_eq!(
            (&resumed["paused"], &resumed["next_fire_at"]),
            (&json!(false), &json!("2027-01-18T03:00:00Z"))
        );
        assert_eq!(acme.get("/kbs/default/schedules/nightly").await.body(), resumed);
    }
    assert_eq!(twin.get("/kbs/default/schedules/nightly").await.body()["paused"], false);
    for what in ["pause", "resume", "run"] {
        for name in ["weekly", "%00", "NIGHTLY"] {
            let path = format!("/kbs/default/schedules/{name}/{what}");
            problem(&send(acme.request(Method::POST, &path)).await, 404, "not_found");
        }
    }
}

/// Goal: a schedule whose author may no longer do what it does says so before it is due, and a person who manages jobs
/// takes it over.
#[tokio::test]
async fn a_schedule_whose_author_left_says_so_and_is_taken_over() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let nightly = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let path = "/kbs/default/schedules/nightly";
    let may = ["document:read", "document:update", "job:manage"];
    let key = json!({ "name": "nightly", "role": "EDITOR", "permissions": may });
    let key = acme.post("/api-keys", &key).await;
    let (id, secret) = (key.text("/id"), key.text("/api_key"));
    let made = send(acme.anonymous(Method::PUT, path).bearer_auth(&secret).json(&nightly)).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.body()["blocked"], Value::Null);
    assert!(made.text("/created_by").contains(&id), "{made:?}");
    assert_eq!(put(&twin, "nightly", &nightly).await.status, 200);

    let revoked = send(acme.request(Method::DELETE, &format!("/api-keys/{id}"))).await;
    assert_eq!(revoked.status, 204, "{revoked:?}");
    let shown = acme.get(path).await;
    assert_eq!(shown.text("/blocked/code"), "actor_forbidden");
    assert!(shown.text("/blocked/detail").contains("document:update"), "{shown:?}");
    assert_eq!(acme.get("/kbs/default/schedules").await.body()["schedules"][0], shown.body());
    assert_eq!(twin.get(path).await.body()["blocked"], Value::Null);

    let take = format!("{path}/take-over");
    // It would do what they may not do themselves.
    let narrow = json!({ "name": "narrow", "role": "EDITOR", "permissions": ["job:manage"] });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    let refused = send(acme.anonymous(Method::POST, &take).bearer_auth(narrow)).await;
    problem(&refused, 403, "forbidden");
    for _ in 0..2 {
        let taken = acme.post(&take, &json!({})).await;
        assert_eq!((taken.status, &taken.body()["blocked"]), (200, &Value::Null), "{taken:?}");
        assert_ne!(taken.body()["created_by"], shown.body()["created_by"]);
        assert_eq!(taken.body()["next_fire_at"], made.body()["next_fire_at"]);
        assert_eq!(acme.get(path).await.body(), taken.body());
    }
    problem(&acme.post("/kbs/default/schedules/weekly/take-over", &json!({})).await, 404, "not_found");
}

#[tokio::test]
async fn a_schedule_that_is_run_now_keeps_its_next_time() {
    let plans = jobs::plan::Plans::parse("[plan.standard]\ndaily_jobs = 1").unwrap();
    let api = Api::with(tests::api::ApiOptions { plans, ..Default::default() }).await;
    let acme = api.tenant("acme").await;
    let nightly = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let made = put(&acme, "nightly", &nightly).await.body();
    let path = "/kbs/default/schedules/nightly";
    assert_eq!(acme.post(&format!("{path}/pause"), &json!({})).await.status, 200);
    let run = async |key: &str| {
        let request = acme.request(Method::POST, &format!("{path}/run")).header("idempotency-key", key);
        send(request).await
    };
    let fired = run("once").await;
    assert_eq!((fired.status, fired.header("location")), (202, fired.text("/location").as_str()));
    let again = run("once").await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed"), &again.bytes),
        (202, "true", &fired.bytes)
    );
    let job = acme.get(&format!("/jobs/{}", fired.text("/job_id"))).await;
    assert_eq!((job.text("/type"), job.text("/state")), ("kb.reindex".into(), "available".into()));
    let shown = acme.get(path).await.body();
    assert_eq!(shown["next_fire_at"], made["next_fire_at"]);
    assert_eq!((&shown["last_fire_at"], &shown["paused"]), (&json!("2027-01-15T08:00:00Z"), &json!(true)));
    // Not enqueued once more while it waits. Another one counts as a firing.
    let same = run("same").await;
    assert_eq!((same.text("/job_id"), &same.body()["existing"]), (fired.text("/job_id"), &json!(true)));
    let cancelled = send(acme.request(Method::DELETE, &format!("/jobs/{}", fired.text("/job_id")))).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    problem(&run("twice").await, 429, "daily_jobs_limit_reached");

    // Nobody gets more out of it than they may do themselves.
    let narrow = json!({ "name": "narrow", "role": "EDITOR", "permissions": ["job:manage"] });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    let refused = send(acme.anonymous(Method::POST, &format!("{path}/run")).bearer_auth(narrow)).await;
    problem(&refused, 403, "forbidden");
    assert_eq!(refused.text("/permission"), "document:update");
}
