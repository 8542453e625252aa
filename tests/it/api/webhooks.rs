use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Claims, Reply, problem, send};

const URL: &str = "https://hooks.example.com/tenantry?key=hidden";

async fn make(tenant: &ApiTenant) -> Reply {
    let body =
        json!({ "url": URL, "events": ["document.failed", "document.processed"], "description": "portal" });
    let reply = tenant.post("/webhooks", &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply
}

async fn patch(tenant: &ApiTenant, id: &str, body: Value) -> Reply {
    send(tenant.request(Method::PATCH, &format!("/webhooks/{id}")).json(&body)).await
}

#[tokio::test]
async fn the_secret_is_shown_once() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let made = make(&acme).await;
    let (id, secret) = (made.text("/id"), made.text("/secret"));
    assert_eq!(made.header("location"), format!("/api/v1/tenants/acme/webhooks/{id}"));
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(secret.starts_with("whsec_") && secret.len() > 40, "{secret}");
    assert_eq!(made.body()["events"], json!(["document.processed", "document.failed"]));
    let again = acme.post(&format!("/webhooks/{id}/rotate"), &json!({ "grace_s": 60 })).await;
    let other = again.text("/secret");
    assert_ne!(other, secret);
    acme.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    let paths = ["/webhooks".to_owned(), format!("/webhooks/{id}"), format!("/webhooks/{id}/deliveries")];
    for path in paths.into_iter().chain(["/audit".to_owned()]) {
        let shown = acme.get(&path).await;
        let text = String::from_utf8(shown.bytes.clone()).unwrap();
        assert_eq!(shown.status, 200, "{text}");
        for hidden in [&secret, &other, "whsec_"] {
            assert!(!text.contains(hidden), "{path}: {text}");
        }
    }
    let log = String::from_utf8(acme.get("/audit").await.bytes).unwrap();
    assert!(log.contains("webhooks_create") && log.contains(&id) && !log.contains("hidden"), "{log}");
    problem(
        &acme.post(&format!("/webhooks/{id}/rotate"), &json!({ "grace_s": 604_801 })).await,
        400,
        "invalid_field",
    );
}

#[tokio::test]
async fn what_cannot_be_a_target_is_refused_with_the_reason() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let id = make(&acme).await.text("/id");
    for url in [
        "",
        "example.com",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://ann@hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com/#x",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[64:ff9b::a00:1]/",
    ] {
        let body = json!({ "url": url, "events": ["job.failed"] });
        problem(&acme.post("/webhooks", &body).await, 400, "invalid_field");
        problem(&patch(&acme, &id, json!({ "url": url })).await, 400, "invalid_field");
    }
    for events in [json!([]), json!(["document.*"]), json!(["webhook.test"]), json!(["job.failed", "x"])] {
        let reply = acme.post("/webhooks", &json!({ "url": URL, "events": events })).await;
        problem(&reply, 400, "invalid_field");
        assert!(reply.text("/detail").contains("document.processed"), "{reply:?}");
    }
    assert_eq!(acme.get("/webhooks").await.body()["webhooks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn changes_are_by_revision_and_a_disabled_one_is_told_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let id = make(&acme).await.text("/id");
    let tag = acme.get(&format!("/webhooks/{id}")).await.header("etag").to_owned();
    let off = patch(&acme, &id, json!({ "enabled": false })).await;
    assert_eq!((&off.body()["enabled"], &off.body()["disabled_reason"]), (&json!(false), &json!("asked")));
    let stale = acme.request(Method::PATCH, &format!("/webhooks/{id}")).header("if-match", tag);
    problem(&send(stale.json(&json!({ "description": "other" }))).await, 412, "precondition_failed");
    problem(&acme.post(&format!("/webhooks/{id}/test"), &json!({})).await, 409, "webhook_disabled");
    assert_eq!(patch(&acme, &id, json!({ "enabled": true })).await.body()["enabled"], true);

    for _ in 0..3 {
        let sent = acme.post(&format!("/webhooks/{id}/test"), &json!({})).await;
        assert_eq!((sent.status, sent.header("location")), (202, sent.text("/location").as_str()));
    }
    let all = acme.get(&format!("/webhooks/{id}/deliveries")).await.body()["deliveries"].clone();
    let page = acme.get(&format!("/webhooks/{id}/deliveries?limit=2")).await;
    let after = page.text("/next");
    let rest =
        acme.get(&format!("/webhooks/{id}/deliveries?limit=2&after={after}&state=pending")).await.body();
    let both: Vec<_> = [page.body()["deliveries"].clone(), rest["deliveries"].clone()]
        .into_iter()
        .flat_map(|part| part.as_array().unwrap().clone())
        .collect();
    assert_eq!((json!(both), &rest["next"]), (all.clone(), &Value::Null));
    assert_eq!((&all[0]["state"], &all[0]["type"]), (&json!("pending"), &json!("webhook.test")));
    problem(&acme.get(&format!("/webhooks/{id}/deliveries?state=lost")).await, 400, "invalid_query");
    problem(&acme.get(&format!("/webhooks/{id}/deliveries?after=x")).await, 400, "invalid_query");
    problem(&acme.get(&format!("/webhooks/{id}/deliveries/x")).await, 404, "not_found");
    let gone = send(acme.request(Method::DELETE, &format!("/webhooks/{id}"))).await;
    assert_eq!(gone.status, 204);
    problem(&acme.get(&format!("/webhooks/{id}/deliveries")).await, 404, "not_found");
}

#[tokio::test]
async fn they_are_for_those_who_manage_the_whole_tenant() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "EDITOR").await;
    let narrow = json!({ "name": "narrow", "role": "ADMIN", "kb_id": "default" });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    let body = json!({ "url": URL, "events": ["job.failed"] });
    for key in [Claims::of("acme", "EDITOR").token(), narrow] {
        let asked = acme.anonymous(Method::POST, "/webhooks").bearer_auth(&key).json(&body);
        problem(&send(asked).await, 403, "forbidden");
        problem(&send(acme.anonymous(Method::GET, "/webhooks").bearer_auth(&key)).await, 403, "forbidden");
    }
    // The operator manages every tenant.
    let made = send(api.operator(Method::POST, "/api/v1/tenants/acme/webhooks").json(&body)).await;
    assert_eq!((made.status, made.text("/created_by").as_str()), (201, "operator"));
}
