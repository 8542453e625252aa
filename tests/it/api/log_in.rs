//! Users and their sessions.

use std::time::{Duration, Instant};

use api_thin::IdentityConfig;
use api_thin::config::AccountRules;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use stores::model::ThrottleRule;
use tests::api::{Api, ApiOptions, PASSWORD, Reply, problem, send};

/// An API with the tenant acme and its ADMIN ann.
async fn api() -> Api {
    let api = Api::start().await;
    api.tenant("acme").await.founder(&api, "ann").await;
    api
}

async fn wrong(api: &Api, name: &str) -> Reply {
    api.log_in_with(&json!({ "username": name, "password": "wrong horse" })).await
}

async fn refresh(api: &Api, token: &str) -> Reply {
    api.post("/api/v1/auth/refresh", &json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_password_is_good_for_a_token() {
    let api = api().await;
    let reply = api.log_in("Ann").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((reply.text("/tenant_id"), reply.text("/role")), ("acme".into(), "ADMIN".into()));
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = reply.text("/access_token");
    let documents = api.bearer(Method::GET, "/api/v1/kbs/default/documents", &token);
    assert_eq!(send(documents).await.status, 200);
    let me = api.me(&token).await.body();
    assert_eq!((&me["actor"], &me["operator"]), (&json!("local:ann"), &json!(false)));
    let membership = json!({ "tenant_id": "acme", "tenant_name": "Tenant acme", "role": "ADMIN" });
    assert_eq!(me["memberships"], json!([membership]));
    api.clock.advance(Duration::from_secs(24 * 3_600 + 60));
    problem(&api.me(&token).await, 401, "credentials_invalid");
}

#[tokio::test]
async fn an_unknown_user_is_a_wrong_password() {
    let api = api().await;
    let known = wrong(&api, "ann").await;
    problem(&known, 401, "login_failed");
    assert!(!String::from_utf8_lossy(&known.bytes).contains("wrong horse"));
    for unknown in ["eve", "", "a b", "ann'--", "{\"$ne\":\"\"}", &"a".repeat(500)] {
        let reply = wrong(&api, unknown).await;
        assert_eq!((reply.status, &reply.bytes), (401, &known.bytes), "{unknown}");
    }
    let long =
        async |length| api.log_in_with(&json!({ "username": "ann", "password": "x".repeat(length) })).await;
    let reply = long(10_000).await;
    assert_eq!((reply.status, &reply.bytes), (401, &known.bytes));
    problem(&long(1 << 20).await, 413, "request_too_large");
    for bad in [
        json!({ "username": { "$ne": "" }, "password": PASSWORD }),
        json!({ "username": "ann" }),
        json!({ "username": "ann", "password": PASSWORD, "tenant_id": "NO LABEL" }),
    ] {
        problem(&api.log_in_with(&bad).await, 400, "invalid_field");
    }
    let assigned = json!({ "username": "ann", "password": PASSWORD, "role": "ADMIN" });
    problem(&api.log_in_with(&assigned).await, 400, "unknown_field");
}

/// Guessing names must not be easier than guessing passwords: both cost a hash.
#[tokio::test]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let api = api().await;
    let answered = async |name: &'static str| {
        let start = Instant::now();
        problem(&wrong(&api, name).await, 401, "login_failed");
        start.elapsed()
    };
    // Other work on the machine only adds to a time: the shortest ones come near each other sooner or later, but never
    // if one of the two answers computes no hash.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..50 {
        known = known.min(answered("ann").await);
        unknown = unknown.min(answered("eve").await);
        if unknown < known * 2 && known < unknown * 2 {
            return;
        }
        // No lock-out lasts so long.
        api.clock.advance(Duration::from_secs(172_800));
    }
    panic!("{known:?} for a known, {unknown:?} for an unknown");
}

#[tokio::test]
async fn a_tenant_that_is_not_ones_own_cannot_be_told_from_none() {
    let api = api().await;
    api.tenant("other").await;
    let named = async |tenant: &str| {
        let body = json!({ "username": "ann", "password": PASSWORD, "tenant_id": tenant });
        api.log_in_with(&body).await
    };
    assert_eq!(named("acme").await.status, 200);
    let (exists, nobody) = (named("other").await, named("nobody").await);
    problem(&exists, 403, "no_membership");
    assert_eq!(exists.bytes, nobody.bytes);
}

#[tokio::test]
async fn wrong_passwords_lock_the_name_for_longer_and_longer() {
    let api = api().await;
    for name in ["ann", "eve"] {
        for _ in 0..5 {
            problem(&wrong(&api, name).await, 401, "login_failed");
        }
        let locked = wrong(&api, name).await;
        problem(&locked, 429, "too_many_attempts");
        assert_eq!(locked.header("retry-after"), "30", "{name}");
    }
    problem(&api.log_in("ann").await, 429, "too_many_attempts");
    api.clock.advance(Duration::from_secs(30));
    problem(&wrong(&api, "ann").await, 401, "login_failed");
    assert_eq!(api.log_in("ann").await.header("retry-after"), "60");
    api.clock.advance(Duration::from_secs(60));
    assert_eq!(api.log_in("ann").await.status, 200);
    problem(&wrong(&api, "ann").await, 401, "login_failed");
    assert_eq!(api.log_in("ann").await.status, 200, "a good one wipes the slate");
}

#[tokio::test]
async fn many_at_once_are_no_way_around_the_lock() {
    let api = api().await;
    let good = join_all((0..8).map(|_| api.log_in("ann"))).await;
    assert!(good.iter().all(|reply| reply.status == 200), "{good:?}");
    let guesses = join_all((0..20).map(|_| wrong(&api, "ann"))).await;
    assert_eq!(guesses.iter().filter(|reply| reply.status == 401).count(), 5);
    assert_eq!(guesses.iter().filter(|reply| reply.status == 429).count(), 15);
}

#[tokio::test]
async fn one_address_has_so_many_tries_a_minute() {
    let per_address = Some(ThrottleRule::Rate { tries: 3, window: Duration::from_secs(60) });
    let rules = AccountRules { per_address, ..AccountRules::default() };
    let identity = IdentityConfig { rules, ..IdentityConfig::default() };
    let api = Api::with(ApiOptions { identity, ..ApiOptions::default() }).await;
    for name in ["a", "b", "c"] {
        problem(&wrong(&api, name).await, 401, "login_failed");
    }
    let refused = wrong(&api, "d").await;
    problem(&refused, 429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), "20");
    api.clock.advance(Duration::from_secs(20));
    problem(&wrong(&api, "d").await, 401, "login_failed");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let api = api().await;
    let first = api.log_in("ann").await;
    api.clock.advance(Duration::from_secs(48 * 3_600));
    problem(&api.me(&first.text("/access_token")).await, 401, "credentials_invalid");
    let second = refresh(&api, &first.text("/refresh_token")).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(api.me(&second.text("/access_token")).await.status, 200);

    // A second use of the old token means that it was stolen: the session ends for both.
    problem(&refresh(&api, &first.text("/refresh_token")).await, 401, "credentials_invalid");
    problem(&refresh(&api, &second.text("/refresh_token")).await, 401, "credentials_invalid");
    problem(&api.me(&second.text("/access_token")).await, 401, "credentials_invalid");

    let third = api.log_in("ann").await;
    api.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    problem(&refresh(&api, &third.text("/refresh_token")).await, 401, "credentials_invalid");
    for bad in ["", "rt_", "guess", &third.text("/access_token")] {
        problem(&refresh(&api, bad).await, 401, "credentials_invalid");
    }
}

#[tokio::test]
async fn logging_out_ends_one_session() {
    let api = api().await;
    let (here, there) = (api.log_in("ann").await, api.log_in("ann").await);
    let log_out = async |token: &str| send(api.bearer(Method::POST, "/api/v1/auth/logout", token)).await;
    assert_eq!(log_out(&here.text("/access_token")).await.status, 204);
    problem(&api.me(&here.text("/access_token")).await, 401, "credentials_invalid");
    problem(&log_out(&here.text("/access_token")).await, 401, "credentials_invalid");
    problem(&refresh(&api, &here.text("/refresh_token")).await, 401, "credentials_invalid");
    assert_eq!(api.me(&there.text("/access_token")).await.status, 200);
    let key = api.tenant("other").await.key;
    problem(&log_out(&key).await, 403, "forbidden");
    assert_eq!(api.me(&key).await.body()["memberships"], json!([]));
}
