//! A user gives themselves another password.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::api::{Api, Claims, PASSWORD, Reply, problem, send};

const NEW: &str = "another horse, another battery";

async fn api() -> Api {
    let api = Api::start().await;
    api.tenant("acme").await.founder(&api, "ann").await;
    api
}

async fn change(api: &Api, token: &str, current: &str, new: &str) -> Reply {
    let body = json!({ "current_password": current, "new_password": new });
    send(api.bearer(Method::POST, "/api/v1/auth/password", token).json(&body)).await
}

async fn log_in(api: &Api, password: &str) -> Reply {
    api.log_in_with(&json!({ "username": "ann", "password": password })).await
}

#[tokio::test]
async fn another_password_ends_every_other_session() {
    let api = api().await;
    let (here, there) = (api.log_in("ann").await, api.log_in("ann").await);
    let (token, other) = (here.text("/access_token"), there.text("/access_token"));
    assert_eq!(api.me(&other).await.status, 200, "and this is remembered for a moment");
    let changed = change(&api, &token, PASSWORD, NEW).await;
    assert_eq!((changed.status, changed.bytes.len()), (204, 0));
    problem(&api.me(&other).await, 401, "credentials_invalid");
    let refresh = async |reply: &Reply| {
        let body = json!({ "refresh_token": reply.text("/refresh_token") });
        api.post("/api/v1/auth/refresh", &body).await
    };
    problem(&refresh(&there).await, 401, "credentials_invalid");
    assert_eq!(api.me(&token).await.status, 200);
    assert_eq!(refresh(&here).await.status, 200);
    problem(&log_in(&api, PASSWORD).await, 401, "login_failed");
    assert_eq!(log_in(&api, NEW).await.status, 200);
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let api = api().await;
    let token = api.log_in("ann").await.text("/access_token");
    for _ in 0..5 {
        let wrong = change(&api, &token, "guess", NEW).await;
        problem(&wrong, 401, "login_failed");
        assert!(!String::from_utf8_lossy(&wrong.bytes).contains(NEW));
    }
    let locked = change(&api, &token, PASSWORD, NEW).await;
    problem(&locked, 429, "too_many_attempts");
    assert_eq!(locked.header("retry-after"), "30");
    problem(&api.log_in("ann").await, 429, "too_many_attempts");
    api.clock.advance(Duration::from_secs(30));
    assert_eq!(change(&api, &token, PASSWORD, NEW).await.status, 204);
}

#[tokio::test]
async fn a_new_password_follows_the_rules_of_a_first_one() {
    let api = api().await;
    let token = api.log_in("ann").await.text("/access_token");
    for bad in ["", "seven77", &"x".repeat(257)] {
        let refused = change(&api, &token, PASSWORD, bad).await;
        problem(&refused, 400, "invalid_field");
        assert_eq!(refused.text("/field"), "new_password");
    }
    let assigned = json!({ "current_password": PASSWORD, "new_password": NEW, "username": "bob" });
    let assigned = api.bearer(Method::POST, "/api/v1/auth/password", &token).json(&assigned);
    problem(&send(assigned).await, 400, "unknown_field");
    assert_eq!(log_in(&api, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn only_whoever_logged_in_has_one() {
    let api = api().await;
    let other = api.tenant("other").await;
    other.member(&api, "product:ann", "ADMIN").await;
    let key = other.key;
    let sessionless = Claims::of("other", "ADMIN").token();
    for credentials in [key, sessionless] {
        problem(&change(&api, &credentials, PASSWORD, NEW).await, 403, "forbidden");
    }
    let nobody = api.request(Method::POST, "/api/v1/auth/password");
    problem(&send(nobody.json(&json!({}))).await, 401, "credentials_missing");
    assert_eq!(log_in(&api, PASSWORD).await.status, 200);
}
