//! The plan of tenants for which none is chosen.

use jobs::plan::{Limits, Plans};
use jobs::tenant::TenantContext;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, Claims, PASSWORD, problem, send};
use tests::wait::wait_for;

use api_thin::config::{AccountRules, IdentityConfig, Resolution, Switch};

/// An API whose newcomers get `free`, with two members.
async fn api(resolution: Resolution) -> Api {
    let fewer = Limits { members: Some(2), ..Limits::default() };
    let plans = Plans::default().with_newcomers("free", &fewer).unwrap();
    let rules = AccountRules { sign_up: Switch::On, ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    Api::with(ApiOptions { plans, identity, resolution, ..ApiOptions::default() }).await
}

async fn plan_of(api: &Api, tenant: &str) -> Option<String> {
    let stores = api.opened.stores.scoped(&TenantContext::for_tests(tenant));
    stores.catalog().tenant().await.unwrap().map(|tenant| tenant.plan)
}

#[tokio::test]
async fn newcomers_get_the_plan_of_newcomers_however_they_come() {
    let api = api(Resolution { auto_provision: true, ..Resolution::default() }).await;
    let post = async |body| send(api.operator(Method::POST, "/api/v1/tenants").json(&body)).await;
    let made = post(json!({ "id": "made", "name": "Made" })).await;
    assert_eq!((made.status, made.text("/tenant/plan").as_str()), (202, "free"), "{made:?}");
    let body = json!({ "tenant_id": "signed", "name": "Signed", "username": "ann", "password": PASSWORD });
    let signed = api.post("/api/v1/signup", &body).await;
    assert_eq!((signed.status, signed.text("/tenant/plan").as_str()), (202, "free"), "{signed:?}");
    let token = Claims::of("provisioned", "ADMIN").token();
    send(api.bearer(Method::GET, "/api/v1/tenants/provisioned/kbs", &token)).await;
    assert_eq!(plan_of(&api, "provisioned").await.as_deref(), Some("free"));
    // A plan that is chosen counts.
    assert_eq!(post(json!({ "id": "chosen", "name": "C", "plan": "pro" })).await.text("/tenant/plan"), "pro");
    assert_eq!(
        post(json!({ "id": "wide", "name": "W", "plan": "standard" })).await.text("/tenant/plan"),
        "standard"
    );
}

#[tokio::test]
async fn the_plan_of_newcomers_limits_them() {
    let api = api(Resolution::default()).await;
    let acme = api.tenant("acme").await;
    let invite =
        async |name: &str| acme.post("/members", &json!({ "subject": name, "role": "VIEWER" })).await;
    for name in ["ann", "bob"] {
        assert_eq!(invite(name).await.status, 201);
    }
    let refused = invite("cid").await;
    problem(&refused, 429, "members_limit_reached");
    let limits = acme.get("/limits").await.body()["limits"].clone();
    assert_eq!((&limits["members"], &limits["max_documents"]), (&json!(2), &json!(10_000)));
}

#[tokio::test]
async fn the_only_tenant_of_an_installation_is_no_newcomer() {
    let only_tenant = Some("default".parse().unwrap());
    let api = api(Resolution { only_tenant, ..Resolution::default() }).await;
    let plan = wait_for("the tenant to be made", async || plan_of(&api, "default").await.ok_or("none")).await;
    assert_eq!(plan, "standard");
}
