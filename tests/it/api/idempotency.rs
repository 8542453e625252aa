use std::time::Duration;

use futures::future::join_all;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::api::{Api, ApiTenant, Written, problem, send};

fn text(tenant: &ApiTenant, key: &str, body: &Value) -> RequestBuilder {
    tenant.request(Method::POST, "/kbs/default/documents/text").header("idempotency-key", key).json(body)
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_happens_once() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let document = json!({ "name": "a.md", "text": "one" });
    let batch = json!({ "documents": [document] });
    let file = |bytes: &'static [u8]| Form::new().part("file", Part::bytes(bytes).file_name("a.md"));
    let post = |path: &str| acme.request(Method::POST, path);
    let requests: [(&str, &dyn Fn() -> RequestBuilder); 4] = [
        ("text", &|| post("/kbs/default/documents/text").json(&document)),
        ("batch", &|| post("/kbs/default/documents/batch").json(&batch)),
        ("files", &|| post("/kbs/default/documents").multipart(file(b"one"))),
        ("reindex", &|| post("/kbs/default/reindex")),
    ];
    for (key, request) in requests {
        let first = send(request().header("idempotency-key", key)).await;
        assert_eq!((first.status, first.header("idempotent-replayed")), (202, ""), "{key}: {first:?}");
        let written = Written::of(&api, &acme).await;
        let again = send(request().header("idempotency-key", key)).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (202, "true"), "{key}: {again:?}");
        assert_eq!(again.bytes, first.bytes, "{key}");
        assert_eq!(again.header("location"), first.header("location"), "{key}");
        assert!(!first.header("location").is_empty(), "{key}");
        assert_eq!(Written::of(&api, &acme).await, written, "{key}: it happened twice");
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    assert_eq!(send(text(&acme, "k", &json!({ "name": "a.md", "text": "one" }))).await.status, 202);
    let written = Written::of(&api, &acme).await;
    for other in [json!({ "name": "a.md", "text": "two" }), json!({ "name": "b.md", "text": "one" })] {
        problem(&send(text(&acme, "k", &other)).await, 422, "idempotency_key_reused");
    }
    let reindex = acme.request(Method::POST, "/kbs/default/reindex").header("idempotency-key", "k");
    problem(&send(reindex).await, 422, "idempotency_key_reused");
    assert_eq!(Written::of(&api, &acme).await, written);
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let empty = send(text(&acme, "k", &json!({ "name": "a.md", "text": "" }))).await;
    problem(&empty, 400, "empty_document");
    assert_eq!(send(text(&acme, "k", &json!({ "name": "a.md", "text": "one" }))).await.status, 202);
}

#[tokio::test]
async fn a_key_belongs_to_its_tenant() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let body = json!({ "name": "a.md", "text": "one" });
    let (mine, theirs) = (send(text(&acme, "k", &body)).await, send(text(&other, "k", &body)).await);
    assert_eq!((mine.status, theirs.status), (202, 202));
    assert_ne!(mine.text("/job_id"), theirs.text("/job_id"));
    assert_eq!(theirs.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_refused() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let body = json!({ "name": "a.md", "text": "one" });
    for bad in ["", "two words", &"k".repeat(256)] {
        problem(&send(text(&acme, bad, &body)).await, 400, "invalid_idempotency_key");
    }
    assert_eq!(send(text(&acme, &"k".repeat(255), &body)).await.status, 202);
}

#[tokio::test]
async fn requests_at_the_same_moment_happen_once() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let body = json!({ "name": "a.md", "text": "one" });
    let replies = join_all((0..8).map(|_| send(text(&acme, "k", &body)))).await;
    assert!(replies.iter().all(|reply| reply.status == 202), "{replies:?}");
    assert!(replies.iter().all(|reply| reply.bytes == replies[0].bytes), "{replies:?}");
    let replayed = replies.iter().filter(|reply| reply.header("idempotent-replayed") == "true").count();
    assert_eq!(replayed, 7);
    let listed = acme.get("/kbs/default/documents").await.body();
    assert_eq!(listed["documents"][0]["revision"], 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    assert_eq!(send(text(&acme, "k", &json!({ "name": "a.md", "text": "one" }))).await.status, 202);
    api.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    let other = send(text(&acme, "k", &json!({ "name": "a.md", "text": "two" }))).await;
    assert_eq!((other.status, other.header("idempotent-replayed")), (202, ""), "{other:?}");
}
