//! Limits by address count clients, also behind a proxy, and no client can choose the address it counts under.

use std::time::Duration;

use api_thin::config::AccountRules;
use api_thin::{IdentityConfig, Resolution};
use reqwest::Method;
use serde_json::json;
use stores::model::ThrottleRule;
use tests::api::{Api, ApiOptions, Reply, problem, send};

/// An API at which one address may log in three times.
async fn api(trusted: &[&str]) -> Api {
    let per_address = Some(ThrottleRule::Rate { tries: 3, window: Duration::from_secs(60) });
    let rules = AccountRules { per_address, ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let resolution = Resolution { trusted_proxies, ..Resolution::default() };
    Api::with(ApiOptions { identity, resolution, ..ApiOptions::default() }).await
}

/// Logs in as another user each time, from the address in `forwarded`.
async fn log_in(api: &Api, forwarded: &str) -> Reply {
    let body = json!({ "username": uuid::Uuid::now_v7().to_string(), "password": "guess" });
    let request = api.request(Method::POST, "/api/v1/auth/login").json(&body);
    send(request.header("x-forwarded-for", forwarded)).await
}

#[tokio::test]
async fn each_client_of_a_trusted_proxy_has_its_own_tries() {
    let api = api(&["127.0.0.0/8", "10.0.0.0/8"]).await;
    for _ in 0..3 {
        problem(&log_in(&api, "203.0.113.9").await, 401, "login_failed");
    }
    for same in ["203.0.113.9", "192.0.2.1, 203.0.113.9", "198.51.100.7,203.0.113.9, 10.0.0.4"] {
        problem(&log_in(&api, same).await, 429, "too_many_attempts");
    }
    problem(&log_in(&api, "203.0.113.10").await, 401, "login_failed");
}

/// Signs in on the dashboard, as another user each time, from the address in `forwarded`.
async fn sign_in(api: &Api, forwarded: &str) -> u16 {
    let form = format!("username={}&password=guess", uuid::Uuid::now_v7());
    let request = api.request(Method::POST, "/sign-in").header("x-forwarded-for", forwarded);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap().status().as_u16()
}

/// A page asks the API on the connection of the request that it answers.
#[tokio::test]
async fn a_sign_in_on_the_dashboard_counts_for_its_client() {
    let api = api(&["127.0.0.0/8"]).await;
    for _ in 0..3 {
        assert_eq!(sign_in(&api, "203.0.113.9").await, 401);
    }
    assert_eq!(sign_in(&api, "203.0.113.9").await, 429);
    problem(&log_in(&api, "203.0.113.9").await, 429, "too_many_attempts");
    assert_eq!(sign_in(&api, "203.0.113.10").await, 401);
}

#[tokio::test]
async fn what_anybody_else_forwards_is_ignored() {
    let api = api(&["10.0.0.0/8"]).await;
    for number in 0..3 {
        problem(&log_in(&api, &format!("203.0.113.{number}")).await, 401, "login_failed");
    }
    problem(&log_in(&api, "203.0.113.9").await, 429, "too_many_attempts");
}
