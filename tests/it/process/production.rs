//! The programs as they run in production: API and workers as processes of their own, on a Redis and a Postgres that
//! the commands have set up, through the loss of a worker, of Redis for a while, and another number of shards.

use std::process::{Child, Command};

use api_thin::accounts::Passwords;
use fair_queue::testing::RedisServer;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::api::PASSWORD;
use tests::bed::{Answer, Http, TestTenant};
use tests::cli::Cli;
use tests::program::{command, free_address, http_client, output};
use tests::services::Scratch;
use tests::wait::wait_for;

use crate::gauges::Model;
use crate::metrics::value;

const OPERATOR: &str = "the-operator-of-the-production";

/// A process that ends with this value.
struct Running {
    child: Child,
    /// Where it tells how it is.
    url: String,
}

impl Running {
    async fn start(program: &str, arguments: &[&str], settings: &[(&str, &str)], address: &str) -> Self {
        let mut command = command(program);
        command.args(arguments).env("RUST_LOG", "warn").envs(settings.iter().copied());
        let child = command.spawn().expect("the program starts");
        let running = Self { child, url: format!("http://{address}") };
        wait_for("the program to be ready", async || {
            let answer = http_client().get(format!("{}/readyz", running.url)).send().await;
            let status = answer.map_err(|error| error.to_string())?.status();
            if status == StatusCode::OK { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        running
    }

    async fn metrics(&self) -> String {
        let reply = http_client().get(format!("{}/metrics", self.url)).bearer_auth(OPERATOR).send().await;
        reply.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    async fn shows(&self, series: &str, is_so: impl Fn(f64) -> bool) {
        wait_for(series, async || {
            let text = self.metrics().await;
            if value(&text, series).is_some_and(&is_so) { Ok(()) } else { Err(value(&text, series)) }
        })
        .await;
    }

    /// `kill -9`: no good-bye.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C, as an orchestrator stops a program. How it ended.
    fn stop(mut self) -> Option<i32> {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Installation {
    redis: RedisServer,
    database: Scratch,
    settings: Vec<(&'static str, String)>,
    model: Model,
    data: tempfile::TempDir,
}

impl Installation {
    /// Made by the commands that `worker/program/README.md` names.
    async fn make() -> Self {
        let (redis, database) = (RedisServer::start(&[]).unwrap(), Scratch::create().await);
        let (data, model) = (tempfile::tempdir().unwrap(), Model::new());
        let made = output("tenantry", &["keygen"], &[]);
        let keys = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        assert!(keys.starts_with("k1:"), "{keys}");
        let urls = [
            ("POSTGRES_URL", database.urls.postgres.as_str()),
            ("POSTGRES_ADMIN_URL", &database.urls.postgres_admin),
        ];
        for time in ["first", "second"] {
            let migrated = output("tenantry", &["migrate"], &urls);
            assert!(
                migrated.status.success(),
                "the {time} time: {}",
                String::from_utf8_lossy(&migrated.stderr)
            );
        }
        let settings = vec![
            ("REDIS_URL", redis.url()),
            ("POSTGRES_URL", database.urls.postgres.clone()),
            ("TENANTRY_STAMP_KEYS", keys),
            ("TENANTRY_KEY_SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
            ("TENANTRY_JWT_SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
            ("TENANTRY_OPERATOR_KEY", OPERATOR.to_owned()),
            ("TENANTRY_DATA_DIR", data.path().to_str().unwrap().to_owned()),
            ("TENANTRY_LEASE_S", "2".to_owned()),
            ("OPENAI_BASE_URL", model.start().await),
            ("OPENAI_MODEL", "test".to_owned()),
        ];
        Self { redis, database, settings, model, data }
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = self.settings.iter().map(|(name, value)| (*name, value.as_str()));
        usual.chain(more.iter().copied()).collect()
    }

    /// The API, by the program `tenantry` or by its own.
    async fn api(&self, program: &str, more: &[(&str, &str)]) -> Running {
        let address = free_address();
        let arguments: &[&str] = if program == "tenantry" { &["api"] } else { &[] };
        let more = [more, &[("TENANTRY_LISTEN", &address)]].concat();
        Running::start(program, arguments, &self.settings(&more), &address).await
    }

    async fn worker(&self, more: &[(&str, &str)]) -> Running {
        let address = free_address();
        let more = [more, &[("TENANTRY_HEALTH_LISTEN", &address)]].concat();
        Running::start("tenantry", &["worker"], &self.settings(&more), &address).await
    }

    /// Runs a command of an operator to its end.
    fn run(&self, arguments: &[&str]) -> String {
        let ran = output("tenantry", arguments, &self.settings(&[]));
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

async fn tenant(api: &Running) -> TestTenant {
    let operator = Http::new(&api.url, OPERATOR);
    let made = operator.post("/api/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await;
    let key = made.body["api_key"].as_str().unwrap_or_else(|| panic!("{made:?}"));
    let tenant = TestTenant { id: "acme".to_owned(), http: Http::new(&api.url, key) };
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get("/api/v1/tenants/acme").await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
    tenant
}

async fn ingested(tenant: &TestTenant, name: &str) {
    let accepted = tenant.upload(name, "Ada met Charles in London.").await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(tenant.settled(name).await["status"], "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_lives_through_what_happens_to_one() {
    let mut here = Installation::make().await;
    let (api, worker) = (here.api("tenantry", &[]).await, here.worker(&[]).await);
    let acme = tenant(&api).await;
    ingested(&acme, "first.md").await;
    let completed =
        r#"tenantry_jobs_finished_total{queue="documents",type="document.ingest",outcome="completed"}"#;
    worker.shows(completed, |jobs| jobs >= 1.0).await;
    let listed = Cli::new(&api.url, OPERATOR).json(&["workers", "list"]).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["fetching"]), (1, &json!(true)), "{listed}");

    worker_is_lost(&here, worker, &acme).await;
    let worker = here.worker(&[]).await;
    redis_is_away(&mut here, (&api, &worker), &acme).await;
    imported_users_log_in(&here, &api).await;

    // Another number of shards, with nothing running.
    assert_eq!((worker.stop(), api.stop()), (Some(0), Some(0)));
    let said = here.run(&["shards", "--to", "4"]);
    assert!(said.contains("had 1 shards and has 4"), "{said}");
    let shards = [("TENANTRY_SHARDS", "4")];
    let (api, worker) = (here.api("api-thin", &shards).await, here.worker(&shards).await);
    let acme = TestTenant { http: Http::new(&api.url, acme.http.key()), ..acme };
    ingested(&acme, "last.md").await;
    assert_eq!((worker.stop(), api.stop()), (Some(0), Some(0)));
    here.database.drop().await;
}

/// A worker vanishes with a job; another one takes it back, and counts that.
async fn worker_is_lost(here: &Installation, worker: Running, acme: &TestTenant) {
    here.model.answers.send_replace(false);
    acme.upload("held.md", "Carl met Ada in London.").await;
    worker.shows(r#"tenantry_worker_jobs_in_flight{slots="jobs"}"#, |jobs| jobs >= 1.0).await;
    wait_for("the model to be asked", async || {
        let jobs = acme.http.get("/api/v1/jobs?state=active&type=entities.extract").await.body;
        if jobs["jobs"][0]["id"].is_string() { Ok(()) } else { Err(jobs) }
    })
    .await;
    worker.kill();
    here.model.answers.send_replace(true);
    let next = here.worker(&[]).await;
    assert_eq!(acme.settled("held.md").await["status"], "processed");
    wait_for("the loss to be counted", async || {
        let text = next.metrics().await;
        // By whichever slots found it.
        let lost = |slots| value(&text, &format!(r#"tenantry_jobs_lost_total{{slots="{slots}"}}"#));
        let lost = lost("jobs").unwrap_or_default() + lost("webhooks").unwrap_or_default();
        if lost >= 1.0 { Ok(()) } else { Err(lost) }
    })
    .await;
    assert_eq!(next.stop(), Some(0));
}

/// What is accepted while Redis is away waits in the outbox, and a worker relays it.
async fn redis_is_away(here: &mut Installation, (api, worker): (&Running, &Running), acme: &TestTenant) {
    here.redis.stop().unwrap();
    let accepted: Answer = acme.upload("away.md", "Ada met Charles in London.").await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    api.shows("tenantry_outbox_rows", |rows| (rows - 1.0).abs() < f64::EPSILON).await;
    api.shows("tenantry_outbox_oldest_seconds", |age| age > 0.0).await;
    api.shows(r#"tenantry_metrics_source_up{source="queue"}"#, |up| up.abs() < f64::EPSILON).await;
    here.redis.resume().unwrap();
    assert_eq!(acme.settled("away.md").await["status"], "processed");
    worker.shows("tenantry_outbox_relayed_total", |jobs| jobs >= 1.0).await;
    worker.shows("tenantry_outbox_rows", |rows| rows.abs() < f64::EPSILON).await;
}

async fn imported_users_log_in(here: &Installation, api: &Running) {
    let hash = Passwords::default().hash(PASSWORD.into()).await.unwrap();
    let users = json!([{ "username": "ann", "password_hash": hash, "workspace": "acme" }]);
    let file = here.data.path().join("users.json");
    std::fs::write(&file, users.to_string()).unwrap();
    let said = here.run(&["users", "import", file.to_str().unwrap()]);
    assert!(said.contains("ann: made, is EDITOR of acme now"), "{said}");
    let log_in = http_client().request(Method::POST, format!("{}/api/v1/auth/login", api.url));
    let answer = log_in.json(&json!({ "username": "ann", "password": PASSWORD })).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["tenant_id"], "acme", "{answer}");
}
