//! A suspended tenant is closed to all of its own credentials, on every route, and open to the operator, who can
//! resume it.

use api_thin::{IdentityConfig, config::AccountRules, routes::Access};
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

use super::every_route::{ask, bait, full_path, tenant_routes};

async fn status_put(api: &Api, tenant: &ApiTenant, status: &str) -> Reply {
    let path = format!("/api/v1/tenants/{}", tenant.id);
    let reply = send(api.operator(Method::PATCH, &path).json(&json!({ "status": status }))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

#[tokio::test]
async fn every_route_is_closed_to_the_tenants_own_credentials_until_it_is_resumed() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let bait = bait(&api, &acme).await;
    acme.member(&api, "product:somebody", "ADMIN").await;
    let wanted = json!({ "name": "one", "kb_id": "default" });
    let only_kb = acme.post("/api-keys", &wanted).await.text("/api_key");
    let admin = Claims { sub: "somebody".into(), ..Claims::of("acme", "ADMIN") }.token();
    status_put(&api, &acme, "suspended").await;
    let before = Written::of(&api, &acme).await;
    for route in tenant_routes() {
        let code = if route.access == Access::Operator { "forbidden" } else { "tenant_suspended" };
        let path = full_path(route, "acme", "default", &bait);
        let unprefixed = path.replacen("/tenants/acme/", "/", 1);
        for credentials in [&acme.key, &only_kb, &admin] {
            problem(&ask(&api, route, &path, credentials).await, 403, code);
            problem(&ask(&api, route, &unprefixed, credentials).await, 403, code);
        }
    }
    assert_eq!(Written::of(&api, &acme).await, before);
    status_put(&api, &acme, "active").await;
    for route in tenant_routes().filter(|route| route.access == Access::Members(None)) {
        let reply = ask(&api, route, &full_path(route, "acme", "default", &bait), &acme.key).await;
        assert_eq!(reply.status, 200, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn the_operator_sees_it() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    let bait = bait(&api, &acme).await;
    status_put(&api, &acme, "suspended").await;
    for route in tenant_routes().filter(|route| route.access == Access::Members(None)) {
        let path = full_path(route, "acme", "default", &bait);
        let reply = send(api.operator(Method::GET, &path)).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
}

/// They may bring it back, so they are not shut out of it for being its members.
#[tokio::test]
async fn a_super_admin_who_is_a_member_is_let_in_as_the_operator_is() {
    let rules =
        AccountRules { super_admins: ["local:root".parse().unwrap()].into(), ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    let api = Api::with(ApiOptions { identity, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    acme.founder(&api, "root").await;
    let token = api.log_in("root").await.text("/access_token");
    let path = "/api/v1/tenants/acme";
    let documents = format!("{path}/kbs/default/documents");
    assert_eq!(send(api.bearer(Method::GET, &documents, &token)).await.status, 200);
    status_put(&api, &acme, "suspended").await;
    problem(&send(api.bearer(Method::GET, &documents, &token)).await, 403, "forbidden");
    assert_eq!(send(api.bearer(Method::GET, "/api/v1/limits", &token)).await.text("/status"), "suspended");
    let resumed = send(api.bearer(Method::PATCH, path, &token).json(&json!({ "status": "active" }))).await;
    assert_eq!((resumed.status, resumed.text("/status").as_str()), (200, "active"));
    assert_eq!(send(api.bearer(Method::GET, &documents, &token)).await.status, 200);
}
