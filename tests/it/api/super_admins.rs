//! Users with the operator's permissions.

use api_thin::IdentityConfig;
use api_thin::config::AccountRules;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, Claims, Issuer, problem, send};

async fn api(issuer: &Issuer) -> Api {
    let rules = AccountRules {
        super_admins: ["local:root".parse().unwrap(), "product:ops".parse().unwrap()].into(),
        ..AccountRules::default()
    };
    let identity = IdentityConfig { rules, ..issuer.trusted() };
    let api = Api::with(ApiOptions { identity, ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    acme.founder(&api, "root").await;
    for identity in ["product:root", "product:Root", "issuer:https://id.example.com/#root"] {
        acme.member(&api, identity, "ADMIN").await;
    }
    api.tenant("other").await.founder(&api, "ann").await;
    api
}

async fn status(api: &Api, method: Method, path: &str, token: &str) -> u16 {
    send(api.bearer(method, path, token)).await.status
}

#[tokio::test]
async fn they_run_the_installation_and_see_no_other_tenants_data() {
    let api = api(&Issuer::start().await).await;
    let token = api.log_in("root").await.text("/access_token");
    assert_eq!(api.me(&token).await.body()["operator"], true);
    let new =
        api.bearer(Method::POST, "/api/v1/tenants", &token).json(&json!({ "id": "new", "name": "New" }));
    assert_eq!(send(new).await.status, 202);
    assert_eq!(status(&api, Method::GET, "/api/v1/skills", &token).await, 200);
    assert_eq!(status(&api, Method::GET, "/api/v1/tenants/other", &token).await, 200);
    assert_eq!(status(&api, Method::GET, "/api/v1/tenants/acme/kbs/default/documents", &token).await, 200);
    assert_eq!(status(&api, Method::GET, "/api/v1/tenants/other/kbs/default/documents", &token).await, 403);
    let change = api.bearer(Method::PATCH, "/api/v1/tenants/acme", &token);
    assert_eq!(send(change.json(&json!({ "limits": { "cap": 1 } }))).await.status, 200);
    assert_eq!(status(&api, Method::POST, "/api/v1/auth/logout", &token).await, 204);
    assert_eq!(status(&api, Method::GET, "/api/v1/skills", &token).await, 401);
}

#[tokio::test]
async fn nobody_else_is_one() {
    let issuer = Issuer::start().await;
    let api = api(&issuer).await;
    let ann = api.log_in("ann").await.text("/access_token");
    // The product may give its people any name.
    let named = |sub: &str| Claims { sub: sub.into(), ..Claims::of("acme", "ADMIN") }.token();
    // An issuer has names of its own.
    let claims = Issuer::claims("root", "acme");
    let theirs = Issuer::token(jsonwebtoken::Algorithm::RS256, Some("rsa"), &claims);
    for token in [ann, named("root"), named("Root"), theirs] {
        let skills = send(api.bearer(Method::GET, "/api/v1/skills", &token)).await;
        problem(&skills, 403, "forbidden");
    }
    assert_eq!(
        status(&api, Method::GET, "/api/v1/skills", &named("ops")).await,
        200,
        "the settings name them"
    );
}
