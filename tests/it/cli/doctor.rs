//! `tenantry doctor` names what is wrong and the command that mends it.

use fair_queue::testing::RedisServer;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, OPERATOR_KEY};
use tests::bed::Bed;
use tests::cli::Cli;
use tests::program::free_address;
use tests::wait::wait_for;

use super::stub::Stub;
use super::{dead_letter, member, operator};

/// What a check found, by its name.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let found = report.as_array().unwrap().iter().find(|check| check["check"] == name);
    found.expect(name)
}

#[tokio::test]
async fn a_healthy_installation_passes() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let report = operator(&bed).json(&["doctor"]).await;
    for name in ["URL", "clock", "version", "servers", "credentials", "workers", "tenants"] {
        assert_eq!(check(&report, name)["outcome"], "ok", "{report}");
    }
    assert_eq!(check(&report, "credentials")["found"], "operator, may do what an operator may");
    let own = member(&bed, &acme).json(&["doctor"]).await;
    assert_eq!(check(&own, "workers")["outcome"], "skipped", "{own}");

    dead_letter(&acme, "empty.html").await;
    let report = operator(&bed).json(&["doctor"]).await;
    let dead = check(&report, "dead letters");
    assert_eq!((&dead["outcome"], &dead["found"]), (&json!("warning"), &json!(format!("{} has 1", acme.id))));
    let fix = dead["fix"].as_str().unwrap();
    let command = fix.split('`').nth(1).unwrap().strip_prefix("tenantry ").unwrap();
    let listed = operator(&bed).json(&command.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(listed[0]["error"]["code"], "empty_document", "the fix is a command that works: {fix}");
}

/// Runs it where something is wrong, and returns what it found.
async fn wrong(cli: &Cli) -> Value {
    let ran = cli.run(&["doctor", "--output", "json"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("checks failed"), "{ran:?}");
    ran.json()
}

#[tokio::test]
async fn a_server_that_is_away_or_another_one_is_named_with_its_fix() {
    let report = wrong(&Cli::new(&format!("http://{}", free_address()), "op_key")).await;
    let api = check(&report, "API");
    assert!(api["found"].as_str().unwrap().ends_with("does not answer: connection refused"), "{api}");
    assert!(api["fix"].as_str().unwrap().contains("tenantry profile set NAME"), "{api}");
    let report = wrong(&Cli::bare()).await;
    assert!(check(&report, "profile")["found"].as_str().unwrap().contains("no API is known"), "{report}");
    let old = Stub::start("200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT", r#"{"version":"0.0.1"}"#).await;
    let report = wrong(&Cli::new(&old.url, "op_key")).await;
    let clock = check(&report, "clock");
    assert!(clock["fix"].as_str().unwrap().contains("timedatectl"), "{clock}");
    assert_eq!(check(&report, "version")["outcome"], "warning", "{report}");
}

#[tokio::test]
async fn missing_workers_wrong_keys_and_a_redis_that_throws_away_are_found() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
    let cli = Cli::new(&api.url, OPERATOR_KEY);
    let report = wrong(&cli).await;
    let workers = check(&report, "workers");
    assert!(workers["found"].as_str().unwrap().contains("document.ingest"), "{workers}");
    assert!(workers["fix"].as_str().unwrap().contains("`tenantry worker`"), "{workers}");
    let stranger = wrong(&Cli::new(&api.url, "op_wrong")).await;
    let fix = check(&stranger, "credentials")["fix"].as_str().unwrap().to_owned();
    assert!(fix.contains("`tenantry profile set NAME --key -`"), "{fix}");

    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    for config in [["SET", "maxmemory", "100mb"], ["SET", "maxmemory-policy", "allkeys-lru"]] {
        redis::cmd("CONFIG").arg(&config).exec(&mut connection).unwrap();
    }
    wait_for("the API to notice the policy", async || {
        let report = wrong(&cli).await;
        let servers = check(&report, "servers");
        let found = servers["found"].as_str().unwrap();
        if found.contains("redis-cli config set maxmemory-policy noeviction") { Ok(()) } else { Err(report) }
    })
    .await;
}

#[tokio::test]
async fn the_settings_of_a_servers_machine_are_tried_too() {
    let bed = Bed::embedded().await;
    let operator = bed.operator();
    let cli = || Cli::new(&bed.url(), operator.key());
    let report =
        wrong(&cli().with("REDIS_URL", "redis://127.0.0.1:1").with("TENANTRY_DATA_DIR", "/dev/null")).await;
    let keys = check(&report, "keys and secrets")["found"].as_str().unwrap().to_owned();
    assert!(keys.starts_with("TENANTRY_STAMP_KEYS: not set") && keys.contains("tenantry keygen"), "{keys}");
    let queue = check(&report, "Redis of the queue")["found"].as_str().unwrap().to_owned();
    assert!(queue.starts_with("REDIS_URL: ") && queue.contains("127.0.0.1:1"), "{queue}");
    let stores = check(&report, "stores")["found"].as_str().unwrap().to_owned();
    assert!(stores.starts_with("TENANTRY_DATA_DIR: "), "{stores}");
    let worker = check(&report, "worker settings")["found"].as_str().unwrap().to_owned();
    assert!(worker.starts_with("TENANTRY_STAMP_KEYS is not set"), "{worker}");
    let mistyped =
        wrong(&cli().with("REDIS_URL", "redis://127.0.0.1:1").with("TENANTRY_SHARDS", "many")).await;
    let settings = check(&mistyped, "api settings")["found"].as_str().unwrap().to_owned();
    assert!(settings.starts_with("TENANTRY_SHARDS: \"many\" cannot be used"), "{settings}");

    let redis = RedisServer::start(&[]).unwrap();
    let right = cli()
        .with("REDIS_URL", &redis.url())
        .with("TENANTRY_DATA_DIR", bed.data_dir().join("own").to_str().unwrap())
        .with("TENANTRY_STAMP_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        .with("TENANTRY_KEY_SECRET", "0123456789abcdef0123456789abcdef");
    let report = right.json(&["doctor"]).await;
    for name in ["keys and secrets", "Redis of the queue", "stores", "worker settings"] {
        assert_eq!(check(&report, name)["outcome"], "ok", "{report}");
    }
}
