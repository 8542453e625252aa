//! How many uploads a second the API accepts, as a process of its own. It measures and tests nothing:
//!
//! ```sh
//! docker/services/run.sh cargo test --package tests --test it -- --ignored --nocapture uploads_per_second
//! ```
//!
//! `MEASURED_PROGRAM` names the `tenantry` to measure instead of the one beside this test, such as that of an earlier
//! commit; `UPLOADS` and `CLIENTS` say how many uploads and how many at a time. Compare only what was measured in turns
//! on the same machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fair_queue::testing::RedisServer;
use futures::StreamExt as _;
use jobs::clock::SystemClock;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use stores::StoresConfig;
use tests::program::{command, free_address};
use tests::services::migrated;
use tests::wait::wait_for;

const OPERATOR: &str = "the-operator-of-the-measured-one";
/// So that they do not all wait for one tenant's lock.
const TENANTS: usize = 8;

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A program that ends with this value.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str], data: &Path, settings: &[(&str, &str)]) -> Self {
        let mut program = command("tenantry");
        if let Some(other) = std::env::var_os("MEASURED_PROGRAM") {
            let envs: Vec<_> = program.get_envs().map(|(name, _)| name.to_owned()).collect();
            program = Command::new(other);
            for name in envs {
                program.env_remove(name);
            }
        }
        let settings = settings.iter().copied();
        let program =
            program.args(arguments).env("TENANTRY_DATA_DIR", data).env("RUST_LOG", "error").envs(settings);
        Self(program.stdin(Stdio::null()).spawn().expect("the program starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

async fn sent(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("the API answers");
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("it answers JSON");
    assert!(status < 300, "{status}: {body}");
    body
}

/// Starts a worker for as long as it takes to provision the tenants. The keys of the tenants.
async fn tenants(url: &str, data: &Path, settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let (client, _worker) = (Client::new(), Running::start(&["worker"], data, settings));
    let mut made = Vec::new();
    for _ in 0..TENANTS {
        let id = format!("measured-{}", uuid::Uuid::now_v7().simple());
        let new = json!({ "id": id, "name": id, "plan": "enterprise" });
        let answer =
            sent(client.post(format!("{url}/api/v1/tenants")).bearer_auth(OPERATOR).json(&new)).await;
        made.push((id, answer["api_key"].as_str().expect("the answer shows the key").to_owned()));
    }
    for (id, key) in &made {
        wait_for("the tenant to be active", async || {
            let shown = sent(client.get(format!("{url}/api/v1/tenants/{id}")).bearer_auth(key)).await;
            if shown["status"] == "active" { Ok(()) } else { Err(shown) }
        })
        .await;
    }
    made
}

/// Uploads one text for each number, some at a time. How long each took, sorted.
async fn upload(url: &str, tenants: &[(String, String)], numbers: std::ops::Range<usize>) -> Vec<Duration> {
    let client = Client::new();
    let text = "A text of some length. ".repeat(40);
    let one = |number: usize| {
        let (id, key) = &tenants[number % tenants.len()];
        let document = json!({ "name": format!("{number}.md"), "text": text });
        let path = format!("{url}/api/v1/tenants/{id}/kbs/default/documents/text");
        let request = client.post(path).bearer_auth(key).json(&document);
        async move {
            let start = Instant::now();
            sent(request).await;
            start.elapsed()
        }
    };
    let clients = number("CLIENTS", 32);
    let mut took: Vec<_> = futures::stream::iter(numbers).map(one).buffer_unordered(clients).collect().await;
    took.sort_unstable();
    took
}

async fn measure(name: &str, more: &[(&str, &str)]) {
    let (redis, data) =
        (RedisServer::start(&["--appendfsync", "everysec"]).unwrap(), tempfile::tempdir().unwrap());
    let (address, redis_url) = (free_address(), redis.url());
    let url = format!("http://{address}");
    // Stores install the TLS that any HTTP client of this process needs.
    let own = StoresConfig::embedded(data.path().join("own"), redis.url().into());
    let _own = stores::open(&own, Arc::new(SystemClock)).await.unwrap();
    let mut settings = vec![
        ("REDIS_URL", redis_url.as_str()),
        ("TENANTRY_LISTEN", address.as_str()),
        ("TENANTRY_STAMP_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("TENANTRY_KEY_SECRET", "0123456789abcdef0123456789abcdef"),
        ("TENANTRY_OPERATOR_KEY", OPERATOR),
    ];
    settings.extend(more);
    let _api = Running::start(&["api"], data.path(), &settings);
    wait_for("the API to be ready", async || {
        let answer = reqwest::get(format!("{url}/readyz")).await.map_err(|error| error.to_string())?;
        answer.error_for_status().map_err(|error| error.to_string())
    })
    .await;
    let tenants = tenants(&url, data.path(), &settings).await;
    let uploads = number("UPLOADS", 2_000);
    upload(&url, &tenants, 0..uploads / 10).await;
    let start = Instant::now();
    let took = upload(&url, &tenants, uploads / 10..uploads / 10 + uploads).await;
    let (all, at) = (start.elapsed().as_secs_f64(), |part: usize| took[took.len() * part / 100]);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = uploads as f64 / all;
    eprintln!("{name}: {rate:.0} uploads/s; {:?} at the median, {:?} at 99 %", at(50), at(99));
}

#[tokio::test]
#[ignore = "measures, and tests nothing"]
async fn on_sqlite() {
    measure("SQLite", &[]).await;
}

#[tokio::test]
#[ignore = "measures, and tests nothing"]
async fn on_postgres() {
    let urls = migrated().await;
    measure("PostgreSQL", &[("POSTGRES_URL", urls.postgres.as_str())]).await;
}
