//! What `/metrics` shows is what is so: a program whose workers are busy, whose tenants are held back each in its way,
//! whose model and disk fail. `metrics` tests that everything is there; here each of it moves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use fair_queue::Queue;
use futures::{StreamExt as _, stream};
use reqwest::{Body, Client, Method, RequestBuilder};
use serde_json::{Value, json};
use stores::direct::DirectSqlite;
use tests::program::{Program, http_client};
use tests::wait::wait_for;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics::value;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A model that answers only while it is let, and refuses texts with certain words the first time.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) answers: watch::Sender<bool>,
    refused: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Model {
    const REFUSES: [(&str, StatusCode); 3] = [
        ("Overrun", StatusCode::TOO_MANY_REQUESTS),
        ("Outage", StatusCode::SERVICE_UNAVAILABLE),
        ("Nonsense", StatusCode::BAD_REQUEST),
    ];

    pub(super) fn new() -> Self {
        Self { answers: watch::Sender::new(true), refused: Arc::default() }
    }

    pub(super) async fn start(&self) -> String {
        let model = self.clone();
        let router = axum::Router::new().route(
            "/v1/chat/completions",
            post(move |body: String| {
                let model = model.clone();
                async move { model.answer(&body).await }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn answer(&self, body: &str) -> Response {
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
        for (word, status) in Self::REFUSES {
            if body.contains(word) && self.refused.lock().unwrap().insert(word) {
                return status.into_response();
            }
        }
        let graph = json!({ "entities": [{ "name": "Ada", "type": "person", "description": "Ada." }],
            "relationships": [] });
        Json(json!({ "choices": [{ "message": { "content": graph.to_string() } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }))
        .into_response()
    }
}

struct Site {
    program: Program,
    client: Client,
    model: Model,
    data: tempfile::TempDir,
}

impl Site {
    async fn open() -> Self {
        let (data, model) = (tempfile::tempdir().unwrap(), Model::new());
        let url = model.start().await;
        let settings =
            [("TENANTRY_METRICS_TOKEN", TOKEN), ("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "test")];
        let program = Program::dev_with(data.path(), &settings);
        Self { program, client: http_client(), model, data }
    }

    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.program.url)).bearer_auth(key)
    }

    async fn sent(&self, request: RequestBuilder) -> Value {
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let body = reply.text().await.unwrap();
        assert!(status.is_success(), "{status}: {body}");
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// A tenant that can work, with these limits. Its key.
    async fn tenant(&self, id: &str, limits: &Value) -> String {
        let operator = &self.program.operator_key;
        let new = json!({ "id": id, "name": id });
        let made = self.sent(self.request(Method::POST, "/api/v1/tenants", operator).json(&new)).await;
        let key = made["api_key"].as_str().unwrap().to_owned();
        wait_for("the tenant to be ready", async || {
            let reply = self.request(Method::GET, "/api/v1/kbs", &key).send().await.unwrap();
            if reply.status() == 200 { Ok(()) } else { Err(reply.status()) }
        })
        .await;
        let path = format!("/api/v1/tenants/{id}");
        self.sent(self.request(Method::PATCH, &path, operator).json(&json!({ "limits": limits }))).await;
        key
    }

    async fn upload(&self, key: &str, text: &str) -> String {
        let document = json!({ "name": format!("{text}.md"), "text": format!("{text} met Ada in London.") });
        let path = "/api/v1/kbs/default/documents/text";
        let sent = self.sent(self.request(Method::POST, path, key).json(&document)).await;
        sent["job_id"].as_str().unwrap().to_owned()
    }

    /// Uploads, and waits until the model has been asked about it. The job that waits for the answer.
    async fn asks_the_model(&self, key: &str, text: &str) -> String {
        self.upload(key, text).await;
        wait_for("the model to be asked", async || {
            let path = "/api/v1/jobs?state=active&type=entities.extract";
            let jobs = self.sent(self.request(Method::GET, path, key)).await;
            jobs["jobs"][0]["id"].as_str().map(str::to_owned).ok_or(jobs)
        })
        .await
    }

    /// Waits until each of these series is as the condition says.
    async fn shows(&self, expected: &[(&str, IsSo)]) {
        wait_for("the metrics to say what is so", async || {
            let text = self.sent_text().await;
            let is_off =
                |(series, is_so): &&(&str, fn(f64) -> bool)| !value(&text, series).is_some_and(is_so);
            let off: Vec<_> =
                expected.iter().filter(is_off).map(|(series, _)| (series, value(&text, series))).collect();
            if off.is_empty() { Ok(()) } else { Err(format!("{off:?}")) }
        })
        .await;
    }

    async fn sent_text(&self) -> String {
        let reply = self.request(Method::GET, "/metrics", TOKEN).send().await.unwrap();
        reply.error_for_status().unwrap().text().await.unwrap()
    }

    /// Past the program.
    async fn change_catalog(&self, statement: &str) {
        let mut catalog = DirectSqlite::open(&self.data.path().join("catalog.db")).await.unwrap();
        catalog.execute(statement).await.unwrap();
        catalog.close().await.unwrap();
    }

    async fn queue(&self) -> Queue {
        let socket = self.data.path().join("redis/redis.sock");
        let url = format!("redis+unix://{}", socket.display());
        Queue::connect(::jobs::queue::config(url.into())).await.unwrap()
    }
}

/// What the value of a series has to be.
type IsSo = fn(f64) -> bool;

const SOME: IsSo = |value| value > 0.0;
const ONE: IsSo = |value| (value - 1.0).abs() < f64::EPSILON;
const TWO: IsSo = |value| (value - 2.0).abs() < f64::EPSILON;
const NONE: IsSo = |value| value.abs() < f64::EPSILON;

/// Its two slots are taken, and the jobs of five tenants wait for five reasons.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_system_says_what_runs_what_waits_and_why() {
    let site = Site::open().await;
    let ready = site.tenant("ready", &json!({ "weight": 2 })).await;
    let capped = site.tenant("capped", &json!({ "cap": 1 })).await;
    let limited = site.tenant("limited", &json!({ "interval_ms": 3_600_000, "burst": 1 })).await;
    let paused = site.tenant("paused", &json!({ "weight": 2 })).await;
    site.tenant("idle", &json!({ "weight": 2 })).await;
    site.sent(site.request(Method::POST, "/api/v1/jobs/pause", &paused)).await;
    site.upload(&paused, "Pauline").await;
    site.upload(&limited, "Lina").await;
    site.shows(&[(r#"tenantry_queue_tenants{state="limited"}"#, ONE)]).await;

    site.model.answers.send_replace(false);
    let held = site.asks_the_model(&capped, "Carl").await;
    site.upload(&capped, "Carla").await;
    site.asks_the_model(&ready, "Rene").await;
    site.upload(&ready, "Rita").await;
    site.upload(&ready, "Ruth").await;
    let of = |metric: &str| format!(r#"{metric}{{queue="documents",type="document.ingest"}}"#);
    site.shows(&[
        (r#"tenantry_queue_tenants{state="capped"}"#, ONE),
        (r#"tenantry_queue_tenants{state="ready"}"#, ONE),
        (r#"tenantry_queue_tenants{state="paused"}"#, ONE),
        (r#"tenantry_queue_tenants{state="idle"}"#, SOME),
        (&of("tenantry_queue_tenants_ready"), ONE),
        (&of("tenantry_queue_jobs_waiting"), TWO),
        (&of("tenantry_queue_jobs_startable"), TWO),
        (&of("tenantry_queue_oldest_waiting_seconds"), SOME),
        ("tenantry_queue_jobs_in_flight", TWO),
        ("tenantry_queue_records", |records| records >= 6.0),
        ("tenantry_desired_workers", TWO),
        (r#"tenantry_worker_jobs_in_flight{slots="jobs"}"#, TWO),
        (r#"tenantry_worker_job_running_oldest_seconds{slots="jobs"}"#, SOME),
        (r#"tenantry_worker_job_running_oldest_seconds{slots="webhooks"}"#, NONE),
    ])
    .await;

    // One is cancelled while it runs, and the others go on.
    site.sent(site.request(Method::DELETE, &format!("/api/v1/jobs/{held}"), &capped)).await;
    let cancelled =
        r#"tenantry_jobs_finished_total{queue="enrich",type="entities.extract",outcome="cancelled"}"#;
    site.shows(&[(cancelled, ONE)]).await;
    site.model.answers.send_replace(true);
    let started = r#"tenantry_jobs_started_total{queue="documents",type="document.ingest"}"#;
    site.shows(&[("tenantry_desired_workers", NONE), (started, |jobs| jobs >= 5.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_comes_by_itself_or_is_kept_is_counted() {
    let site = Site::open().await;
    let acme = site.tenant("acme", &json!({ "weight": 2 })).await;
    let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let put = site.request(Method::PUT, "/api/v1/kbs/default/schedules/nightly", &acme).json(&schedule);
    site.sent(put).await;
    site.change_catalog("update schedules set next_fire_at = next_fire_at - 100000000000").await;
    site.shows(&[("tenantry_schedules_fired_total", SOME)]).await;
    let member =
        site.request(Method::PUT, "/api/v1/tenants/acme/members/product:ann", &site.program.operator_key);
    site.sent(member.json(&json!({ "role": "VIEWER" }))).await;
    for text in ["Overrun", "Outage", "Nonsense"] {
        site.upload(&acme, text).await;
    }
    site.shows(&[
        (r#"tenantry_model_calls_total{outcome="rate_limited"}"#, ONE),
        (r#"tenantry_model_calls_total{outcome="retry"}"#, ONE),
        (r#"tenantry_model_calls_total{outcome="failed"}"#, ONE),
        (r#"tenantry_model_calls_total{outcome="ok"}"#, SOME),
        ("tenantry_model_call_seconds_count", |calls| calls >= 4.0),
        (r#"tenantry_model_tokens_total{direction="written"}"#, SOME),
        (r#"tenantry_cache_requests_total{cache="directory",result="hit"}"#, SOME),
        (r#"tenantry_cache_requests_total{cache="directory",result="miss"}"#, SOME),
        (r#"tenantry_cache_entries{cache="directory"}"#, SOME),
        (r#"tenantry_store_call_seconds_count{store="blobs"}"#, SOME),
        (r#"tenantry_store_connections_max{store="sqlite"}"#, SOME),
        (r#"tenantry_metrics_source_up{source="queue"}"#, ONE),
    ])
    .await;
    upload_memory(&site, &acme).await;
    without_a_job(&site, &acme).await;
    // The disk of the originals fails.
    let blobs = site.data.path().join("blobs");
    tokio::fs::rename(&blobs, site.data.path().join("elsewhere")).await.unwrap();
    tokio::fs::write(&blobs, "no directory").await.unwrap();
    let document = json!({ "name": "lost.md", "text": "lost" });
    let refused = site.request(Method::POST, "/api/v1/kbs/default/documents/text", &acme).json(&document);
    assert!(refused.send().await.unwrap().status().is_server_error());
    site.shows(&[
        (r#"tenantry_store_errors_total{store="blobs"}"#, SOME),
        (r#"tenant_users_count{tenant="acme"}"#, ONE),
        (r#"tenant_storage_bytes{tenant="acme"}"#, SOME),
    ])
    .await;
}

/// Half an upload holds memory until its client leaves.
async fn upload_memory(site: &Site, key: &str) {
    let part = stream::iter([Ok::<_, std::io::Error>("a".repeat(100_000))]).chain(stream::pending());
    let part = reqwest::multipart::Part::stream(Body::wrap_stream(part)).file_name("half.md");
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = site.request(Method::POST, "/api/v1/kbs/default/documents", key).multipart(form);
    let upload = tokio::spawn(upload.send());
    site.shows(&[("tenantry_http_upload_memory_bytes", SOME)]).await;
    upload.abort();
    site.shows(&[("tenantry_http_upload_memory_bytes", NONE)]).await;
}

/// A document whose job is gone, and that has waited for a quarter of an hour.
async fn without_a_job(site: &Site, key: &str) {
    site.sent(site.request(Method::POST, "/api/v1/jobs/pause", key)).await;
    let job = site.upload(key, "Forgotten").await;
    let queue = site.queue().await;
    queue.cancel(&"acme".parse().unwrap(), job.parse().unwrap()).await.unwrap();
    let aged = "update documents set updated_at = updated_at - 900000000 where name = 'Forgotten.md'";
    site.change_catalog(aged).await;
    site.shows(&[("tenantry_documents_without_job", ONE)]).await;
    site.sent(site.request(Method::POST, "/api/v1/jobs/resume", key)).await;
}
