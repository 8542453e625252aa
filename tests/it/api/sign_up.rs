//! Making a user and a tenant of one's own.

use api_thin::IdentityConfig;
use api_thin::config::{AccountRules, Switch};
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, PASSWORD, Reply, problem, send};

async fn api() -> Api {
    let super_admins = ["local:root".parse().unwrap()].into();
    let rules = AccountRules { sign_up: Switch::On, super_admins, ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    Api::with(ApiOptions { identity, ..ApiOptions::default() }).await
}

fn body(tenant: &str, user: &str) -> Value {
    json!({ "tenant_id": tenant, "name": "Acme", "username": user, "password": PASSWORD })
}

async fn sign_up(api: &Api, body: &Value) -> Reply {
    api.post("/api/v1/signup", body).await
}

/// Whether there is such a tenant.
async fn exists(api: &Api, tenant: &str) -> bool {
    let shown = send(api.operator(Method::GET, &format!("/api/v1/tenants/{tenant}"))).await;
    shown.status == 200
}

#[tokio::test]
async fn whoever_signs_up_has_a_tenant_and_is_its_admin() {
    let api = api().await;
    let reply = sign_up(&api, &body("acme", "Ann")).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!((reply.text("/tenant/id"), reply.text("/username")), ("acme".into(), "ann".into()));
    assert_eq!(api.queued("acme").await["open"], 1);
    let token = api.log_in("ann").await.text("/access_token");
    let shown = send(api.bearer(Method::GET, "/api/v1/tenants/acme", &token)).await;
    assert_eq!(shown.text("/status"), "provisioning");
    assert_eq!(api.me(&token).await.text("/role"), "ADMIN");
    assert_eq!(api.me(&reply.text("/api_key")).await.text("/tenant_id"), "acme");
}

#[tokio::test]
async fn what_is_taken_is_refused_and_nothing_is_made() {
    let api = api().await;
    assert_eq!(sign_up(&api, &body("acme", "ann")).await.status, 202);
    problem(&sign_up(&api, &body("acme", "bob")).await, 409, "tenant_exists");
    problem(&api.log_in("bob").await, 401, "login_failed");
    problem(&sign_up(&api, &body("other", "ann")).await, 409, "user_exists");
    assert!(exists(&api, "acme").await && !exists(&api, "other").await);
    assert_eq!(api.queued("other").await["open"], 0);
    // Power over the installation is not for the taking.
    problem(&sign_up(&api, &body("other", "Root")).await, 409, "user_exists");
    assert!(!exists(&api, "other").await);
    assert_eq!(sign_up(&api, &body("other", "bob")).await.status, 202);
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_and_nothing_is_made() {
    let api = api().await;
    for slug in
        ["ab", "Acme", "a_b", "-ab", "аcme", "xn--acme", "a b", "acme'; drop table", "{\"$gt\":\"\"}", ""]
    {
        let reply = sign_up(&api, &body(slug, "ann")).await;
        problem(&reply, 400, "invalid_slug");
        assert_eq!(reply.body()["field"], "tenant_id");
    }
    problem(&sign_up(&api, &body("admin", "ann")).await, 400, "reserved_slug");
    for (field, value) in [
        ("username", json!("a b")),
        ("username", json!("")),
        ("password", json!("short")),
        ("password", json!("x".repeat(257))),
        ("name", json!(" ")),
        ("name", json!("x".repeat(201))),
    ] {
        let mut body = body("acme", "ann");
        body[field] = value;
        let reply = sign_up(&api, &body).await;
        problem(&reply, 400, "invalid_field");
        assert_eq!(reply.body()["field"], field);
    }
    for (field, value) in [("plan", "enterprise"), ("role", "ADMIN"), ("status", "active")] {
        let mut body = body("acme", "ann");
        body[field] = json!(value);
        problem(&sign_up(&api, &body).await, 400, "unknown_field");
    }
    assert!(!exists(&api, "acme").await);
    problem(&api.log_in("ann").await, 401, "login_failed");
}

#[tokio::test]
async fn two_at_once_get_one_tenant() {
    let api = api().await;
    let names: Vec<String> = (0..6).map(|number| format!("ann-{number}")).collect();
    let replies = futures::future::join_all(
        names.iter().map(async |name| sign_up(&api, &body("acme", name)).await.status),
    );
    let mut statuses = replies.await;
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn nobody_signs_up_unless_it_is_allowed() {
    let api = Api::start().await;
    problem(&sign_up(&api, &body("acme", "ann")).await, 404, "unknown_route");
    assert!(!exists(&api, "acme").await);
}
