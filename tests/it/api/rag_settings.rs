//! How a tenant wants its documents read.

use reqwest::Method;
use serde_json::json;
use tests::api::{Api, problem, send};

#[tokio::test]
async fn settings_are_changed_only_as_they_were_seen() {
    let api = Api::start().await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let patch = |etag: &str, top_k: u32| {
        let request = acme.request(Method::PATCH, "/settings").json(&json!({ "top_k": top_k }));
        send(request.header("if-match", etag))
    };
    let seen = acme.get("/settings").await.header("etag").to_owned();
    let changed = patch(&seen, 7).await;
    assert_eq!((changed.status, &changed.body()["top_k"]), (200, &json!(7)));
    let now = acme.get("/settings").await;
    assert_eq!(now.header("etag"), changed.header("etag"));
    assert_ne!(now.header("etag"), seen);
    for stale in [seen.as_str(), "\"999\"", "W/\"1\"", ""] {
        problem(&patch(stale, 8).await, 412, "precondition_failed");
    }
    assert_eq!(acme.get("/settings").await.bytes, now.bytes);
    assert_eq!(patch("*", 9).await.status, 200);
    assert_eq!(twin.get("/settings").await.body()["top_k"], 40);
}
