use fair_queue::testing::RedisServer;
use reqwest::Method;
use tests::api::{Api, ApiOptions, problem};

#[tokio::test]
async fn what_is_accepted_while_the_queue_is_away_is_kept_and_shown() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    assert_eq!(api.get("/readyz").await.status, 200);
    redis.stop().unwrap();

    let reply = acme.upload_text("a.md", "text").await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(api.outbox_len().await, 1);
    let view = acme.get(&format!("/jobs/{}", reply.text("/job_id"))).await;
    assert_eq!(view.status, 200, "{view:?}");
    assert_eq!((view.text("/type").as_str(), view.text("/state").as_str()), ("document.ingest", "available"));
    assert!(view.text("/waits_for/0/text").contains("queue"));

    assert_eq!(api.get("/healthz").await.status, 200);
    let ready = api.get("/readyz").await;
    problem(&ready, 503, "unavailable");
    assert!(ready.text("/detail").contains("queue"));
    let counts = tests::api::send(acme.request(Method::GET, "/jobs")).await;
    problem(&counts, 503, "unavailable");
    assert!(!counts.text("/detail").contains("refused"), "the cause is not for the caller");
}

/// The eviction policy changes while the API runs: accepted jobs stay in the outbox until it is changed back.
#[tokio::test]
async fn a_redis_that_may_throw_jobs_away_gets_none_and_is_not_ready() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let acme = api.tenant("acme").await;
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut set = async |policy: &str| {
        let config = ["SET", "maxmemory-policy", policy];
        redis::cmd("CONFIG").arg(&config).exec(&mut connection).unwrap();
        api.queue.look_at_memory().await.unwrap();
    };
    set("allkeys-lru").await;
    let ready = api.get("/readyz").await;
    problem(&ready, 503, "unavailable");
    let fix = "allkeys-lru, under which it may throw jobs away: run `redis-cli config set maxmemory-policy noeviction`";
    assert!(ready.text("/detail").contains(fix), "{ready:?}");
    assert_eq!(acme.upload_text("a.md", "text").await.status, 202);
    assert_eq!(api.outbox_len().await, 1);

    set("noeviction").await;
    assert_eq!(api.get("/readyz").await.status, 200);
    assert_eq!(acme.upload_text("b.md", "text").await.status, 202);
    assert_eq!(api.outbox_len().await, 1, "what comes later goes through");
}
