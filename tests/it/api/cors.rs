//! Pages of other origins, as browsers let them call the API.

use api_thin::Cors;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, Reply, problem, send};

const APP: &str = "https://app.example.com";
const OTHERS: [&str; 6] = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://APP.example.com",
    "null",
];

async fn api() -> Api {
    let origins = [APP, "http://localhost:5173"].map(|origin| origin.parse().unwrap()).to_vec();
    Api::with(ApiOptions { cors: Cors { origins }, ..ApiOptions::default() }).await
}

async fn preflight(api: &Api, path: &str, origin: &str, method: &str) -> Reply {
    let request = api.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    send(request.header("access-control-request-headers", "authorization,content-type,audit-reason")).await
}

fn listed(reply: &Reply, header: &str) -> Vec<String> {
    reply.header(header).split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// Without the setting nothing is different from before there was one.
#[tokio::test]
async fn by_default_no_other_origin_is_let_in() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let refused = preflight(&api, "/api/v1/tenants/acme/jobs", APP, "GET").await;
    problem(&refused, 405, "method_not_allowed");
    let seen = send(acme.request(Method::GET, "/jobs").header("origin", APP)).await;
    assert_eq!(seen.status, 200);
    for reply in [&refused, &seen] {
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{reply:?}");
    }
}

#[tokio::test]
async fn preflights_of_named_origins_are_answered() {
    let api = api().await;
    api.tenant("acme").await;
    for origin in [APP, "http://localhost:5173"] {
        for (path, method) in [
            ("/api/v1/tenants/acme/jobs", "GET"),
            ("/api/v1/tenants/acme/jobs/pause", "POST"),
            ("/api/v1/tenants/acme/settings", "PATCH"),
            ("/api/v1/tenants/acme/kbs/default/schedules/nightly", "PUT"),
            ("/api/v1/kbs/default", "DELETE"),
            ("/api/v1/auth/login", "POST"),
        ] {
            let reply = preflight(&api, path, origin, method).await;
            assert_eq!(reply.status, 200, "{path}: {reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), origin, "{path}");
            assert!(listed(&reply, "access-control-allow-methods").contains(&method.to_ascii_lowercase()));
            let headers = listed(&reply, "access-control-allow-headers");
            for header in [
                "authorization",
                "content-type",
                "x-api-key",
                "x-tenant-id",
                "idempotency-key",
                "if-match",
                "audit-reason",
            ] {
                assert!(headers.contains(&header.to_owned()), "{header} in {headers:?}");
            }
            assert!(listed(&reply, "vary").contains(&"origin".to_owned()), "a cache must tell origins apart");
            assert_eq!(reply.header("access-control-allow-credentials"), "", "there are no cookies");
            assert!(reply.bytes.is_empty());
        }
    }
}

#[tokio::test]
async fn other_origins_are_not_let_in() {
    let api = api().await;
    let acme = api.tenant("acme").await;
    for origin in OTHERS {
        let asked = preflight(&api, "/api/v1/tenants/acme/jobs/pause", origin, "POST").await;
        let seen = send(acme.request(Method::GET, "/jobs").header("origin", origin)).await;
        for reply in [asked, seen] {
            let allowed = reply.header("access-control-allow-origin");
            assert_eq!(allowed, "", "{origin}: {reply:?}");
        }
    }
    let tenant = acme.stores.catalog().tenant().await.unwrap().unwrap();
    assert_eq!(tenant.flows, [].into(), "a preflight does nothing");
}

#[tokio::test]
async fn a_page_reads_answers_and_refusals_and_their_headers() {
    let api = api().await;
    let acme = api.tenant("acme").await;
    let upload = acme.request(Method::POST, "/kbs/default/documents/text").header("origin", APP);
    let accepted = send(upload.json(&json!({ "name": "a.md", "text": "text" }))).await;
    assert_eq!(accepted.status, 202);
    let refused = send(acme.anonymous(Method::GET, "/jobs").header("origin", APP)).await;
    problem(&refused, 401, "credentials_missing");
    let unknown = send(acme.request(Method::GET, "/nothing").header("origin", APP)).await;
    problem(&unknown, 404, "unknown_route");
    for reply in [&accepted, &refused, &unknown] {
        assert_eq!(reply.header("access-control-allow-origin"), APP, "{reply:?}");
        let shown = listed(reply, "access-control-expose-headers");
        for header in ["location", "etag", "x-request-id", "retry-after"] {
            assert!(shown.contains(&header.to_owned()), "{header} in {shown:?}");
        }
    }
    // What is not the API is not shared.
    for path in ["/", "/docs", "/openapi.json", "/healthz"] {
        let reply = send(api.request(Method::GET, path).header("origin", APP)).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ""), "{path}");
        assert_eq!(preflight(&api, path, APP, "GET").await.status, 405, "{path}");
    }
}
