//! When API keys stop working, and how they go on.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Reply, Written, problem, send};

/// A key of `tenant` that works for a minute: itself, and its path.
async fn minute(tenant: &ApiTenant) -> (String, String) {
    let end = Api::start_time() + TimeDelta::seconds(60);
    let made = tenant.post("/api-keys", &json!({ "name": "minute", "expires_at": end.to_rfc3339() })).await;
    assert_eq!(made.status, 201, "{made:?}");
    (made.text("/api_key"), format!("/api-keys/{}", made.text("/id")))
}

async fn reads(tenant: &ApiTenant, key: &str) -> Reply {
    send(tenant.anonymous(Method::GET, "/kbs/default/documents").bearer_auth(key)).await
}

fn patch(tenant: &ApiTenant, path: &str, body: &Value) -> RequestBuilder {
    tenant.request(Method::PATCH, path).json(body)
}

#[tokio::test]
async fn a_key_that_has_expired_is_extended_before_it_is_rotated() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let (key, path) = minute(&acme).await;
    let rotate = format!("{path}/rotate");
    api.clock.advance(Duration::from_secs(60));
    problem(&reads(&acme, &key).await, 401, "credentials_invalid");
    let before = Written::of(&api, &acme).await;
    problem(&send(acme.request(Method::POST, &rotate)).await, 409, "api_key_expired");
    assert_eq!(Written::of(&api, &acme).await, before);

    let later = (Api::start_time() + TimeDelta::seconds(120)).to_rfc3339();
    let extended = send(patch(&acme, &path, &json!({ "expires_at": later }))).await;
    assert_eq!((extended.status, extended.text("/name").as_str()), (200, "minute"), "{extended:?}");
    assert_eq!(reads(&acme, &key).await.status, 200);
    let rotated = send(acme.request(Method::POST, &rotate)).await;
    assert_eq!(reads(&acme, &rotated.text("/api_key")).await.status, 200);
    problem(&reads(&acme, &key).await, 401, "credentials_invalid");
    api.clock.advance(Duration::from_secs(60));
    problem(&reads(&acme, &rotated.text("/api_key")).await, 401, "credentials_invalid");

    let forever = send(patch(&acme, &path, &json!({ "expires_at": null, "name": "for ever" }))).await;
    assert_eq!((forever.status, &forever.body()["expires_at"]), (200, &Value::Null), "{forever:?}");
    assert_eq!(forever.text("/name"), "for ever");
    assert_eq!(reads(&acme, &rotated.text("/api_key")).await.status, 200);
    let renamed = send(patch(&acme, &path, &json!({ "name": "renamed" }))).await;
    assert_eq!(renamed.body()["expires_at"], Value::Null, "a name alone changes no end");
}

#[tokio::test]
async fn an_end_that_cannot_be_one_changes_nothing() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let (_, path) = minute(&acme).await;
    let before = Written::of(&api, &acme).await;
    let past = Api::start_time().to_rfc3339();
    for bad in [json!("tomorrow"), json!(past), json!(1), json!(["2030-01-01T00:00:00Z"]), json!({})] {
        let refused = send(patch(&acme, &path, &json!({ "expires_at": bad, "name": "half" }))).await;
        problem(&refused, 400, "invalid_field");
        assert_eq!(refused.text("/field"), "expires_at", "{bad}");
    }
    let stale = patch(&acme, &path, &json!({ "expires_at": null })).header("if-match", "\"9\"");
    problem(&send(stale).await, 412, "precondition_failed");
    assert_eq!(Written::of(&api, &acme).await, before);
}

/// A caller who knows an old secret would get more permissions than the one who extends the key has.
#[tokio::test]
async fn nobody_extends_a_key_that_may_do_more_than_they_may() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let (_, path) = minute(&acme).await;
    let narrow = json!({ "name": "manager", "role": "ADMIN", "permissions": ["tenant:manage"] });
    let narrow = acme.post("/api-keys", &narrow).await.text("/api_key");
    let patch = |body: Value| acme.anonymous(Method::PATCH, &path).bearer_auth(&narrow).json(&body);
    problem(&send(patch(json!({ "expires_at": null }))).await, 403, "forbidden");
    assert_eq!(send(patch(json!({ "name": "theirs" }))).await.status, 200);
}
