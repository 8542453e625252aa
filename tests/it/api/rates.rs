use std::time::Duration;

use fair_queue::testing::RedisServer;
use futures::future::join_all;
use jobs::clock::Clock as _;
use jobs::plan::Plans;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, ApiTenant, problem, send};
use tests::wait::wait_for;

async fn api(redis: Option<&RedisServer>) -> Api {
    let plans = "[plan.five]\nrequests_per_minute = 5\n[plan.three]\napi_calls_per_month = 3\n\
        [plan.daily]\napi_calls_per_day = 3\napi_calls_per_month = 5";
    let plans = Plans::parse(plans).unwrap();
    Api::with(ApiOptions { plans, redis_url: redis.map(RedisServer::url), ..ApiOptions::default() }).await
}

async fn on_plan(api: &Api, id: &str, plan: &str) -> ApiTenant {
    let tenant = api.tenant(id).await;
    let path = format!("/api/v1/tenants/{id}");
    assert_eq!(send(api.operator(Method::PATCH, &path).json(&json!({ "plan": plan }))).await.status, 200);
    tenant
}

/// A name that no other test run has used: values in Redis outlive a test.
fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

#[tokio::test]
async fn every_answer_says_how_many_more_there_may_be() {
    let api = api(None).await;
    let (acme, twin) = (on_plan(&api, &fresh("acme"), "five").await, api.tenant(&fresh("twin")).await);
    for (path, status, left) in [("/kbs", 200, 4), ("/kbs/nowhere/documents", 404, 3), ("/nowhere", 404, 3)] {
        let reply = acme.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        if path != "/nowhere" {
            assert_eq!(reply.header("ratelimit-policy"), r#""requests";q=5;w=60"#, "{path}");
            assert_eq!(reply.header("ratelimit"), format!(r#""requests";r={left};t=60"#), "{path}");
        }
    }
    // Neither a stranger's requests nor the operator's count.
    for _ in 0..3 {
        assert_eq!(send(acme.anonymous(Method::GET, "/kbs").bearer_auth(&twin.key)).await.status, 403);
        assert_eq!(send(acme.anonymous(Method::GET, "/kbs").bearer_auth("tk_x_y_z")).await.status, 401);
        let path = format!("/api/v1/tenants/{}", acme.id);
        let operators = send(api.operator(Method::GET, &path)).await;
        assert_eq!((operators.status, operators.header("ratelimit")), (200, ""));
    }
    assert_eq!(acme.get("/kbs").await.header("ratelimit"), r#""requests";r=2;t=60"#);
    assert_eq!(twin.get("/kbs").await.header("ratelimit"), "", "no limit, no header");
    assert_eq!(acme.get("/usage").await.body()["quotas"]["requests_per_minute"]["current"], 4);
}

#[tokio::test]
async fn of_forty_requests_at_once_as_many_are_answered_as_a_minute_has() {
    let api = api(None).await;
    let acme = on_plan(&api, &fresh("acme"), "five").await;
    api.clock.advance(Duration::from_millis(500));
    let replies = join_all((0..40).map(|_| acme.get("/kbs"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 5);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        problem(reply, 429, "rate_limited");
        assert_eq!(reply.header("retry-after"), "60");
        assert_eq!(reply.header("ratelimit"), r#""requests";r=0;t=60"#);
        let body = reply.body();
        assert_eq!((&body["limit"], &body["maximum"]), (&json!("requests_per_minute"), &json!(5)));
    }
    api.clock.advance(Duration::from_secs(59));
    let late = acme.get("/kbs").await;
    problem(&late, 429, "rate_limited");
    assert_eq!(late.header("retry-after"), "1");
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(acme.get("/kbs").await.status, 200, "the window has slid on");
}

#[tokio::test]
async fn without_redis_nobody_is_refused() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = api(Some(&redis)).await;
    let acme = on_plan(&api, "acme", "five").await;
    for _ in 0..5 {
        assert_eq!(acme.get("/kbs").await.status, 200);
    }
    problem(&acme.get("/kbs").await, 429, "rate_limited");
    redis.stop().unwrap();
    let away = acme.get("/kbs").await;
    assert_eq!((away.status, away.header("ratelimit")), (200, ""), "{away:?}");
    redis.resume().unwrap();
    let counted = async || {
        let reply = acme.get("/kbs").await;
        if reply.header("ratelimit").is_empty() { Err("not counted yet") } else { Ok(()) }
    };
    wait_for("requests to be counted again", counted).await;
}

#[tokio::test]
async fn the_requests_of_a_month_are_counted_and_none_is_lost_at_the_end() {
    let mut api = api(None).await;
    let (acme, twin) = (on_plan(&api, "acme", "three").await, api.tenant("acme-2").await);
    let replies = join_all((0..20).map(|_| acme.get("/kbs"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3);
    let refused = acme.get("/kbs").await;
    problem(&refused, 429, "api_calls_limit_reached");
    assert_eq!(refused.body()["limit"], "api_calls_per_month");
    // From January 15, 08:00.
    assert_eq!(refused.header("retry-after"), (16 * 86_400 + 16 * 3_600).to_string());
    for _ in 0..2 {
        assert_eq!(twin.get("/kbs").await.status, 200);
    }
    let used = twin.get("/usage").await.body();
    assert_eq!(used["quotas"]["api_calls_per_month"]["current"], 3, "this one counts too");

    api.clock.advance(Duration::from_secs(17 * 86_400));
    assert_eq!(acme.get("/kbs").await.status, 200);
    let (january, february) = (Api::start_time(), api.clock.now());
    api.stop();
    for (month, calls) in [(january, 3), (february, 1)] {
        let written = async || match acme.stores.catalog().usage(month).await {
            Ok(usage) if usage.api_calls.month == calls => Ok(()),
            other => Err(format!("{other:?}")),
        };
        wait_for("the last requests to be written", written).await;
    }
}

#[tokio::test]
async fn the_requests_of_a_day_begin_anew_at_midnight_and_count_for_the_month() {
    let api = api(None).await;
    let (acme, twin) = (on_plan(&api, "acme", "daily").await, api.tenant("acme-2").await);
    let replies = join_all((0..10).map(|_| acme.get("/kbs"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 3);
    let refused = acme.get("/kbs").await;
    problem(&refused, 429, "api_calls_limit_reached");
    assert_eq!(refused.body()["limit"], "api_calls_per_day");
    assert_eq!(refused.header("retry-after"), (16 * 3_600).to_string(), "from 08:00 to midnight");
    assert_eq!(twin.get("/kbs").await.status, 200);
    wait_for("the requests of the day to be written", async || {
        let usage = acme.stores.catalog().usage(api.clock.now()).await.unwrap();
        if usage.api_calls.day == 3 { Ok(()) } else { Err(format!("{usage:?}")) }
    })
    .await;
    api.clock.advance(Duration::from_secs(86_400));
    assert_eq!(acme.get("/usage").await.body()["quotas"]["api_calls_per_day"]["current"], 1);
    assert_eq!(acme.get("/kbs").await.status, 200);
    let refused = acme.get("/kbs").await;
    problem(&refused, 429, "api_calls_limit_reached");
    assert_eq!(refused.body()["limit"], "api_calls_per_month", "three of yesterday and two of today");
}
