//! What `/metrics` shows is what `docker/monitoring/README.md` lists, and the dashboard, the alert rules and the
//! scaling rule use nothing else. The program runs as a process, and everything that can be counted happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ::jobs::clock::{Clock as _, SystemClock};
use axum::Json;
use axum::routing::post;
use fair_queue::{NewJob, Skill};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tests::program::{Program, http_client};
use tests::wait::wait_for;
use tokio::net::TcpListener;

const PAGE: &str = include_str!("../../docker/monitoring/README.md");
const DASHBOARD: &str = include_str!("../../docker/monitoring/dashboard.json");
const USES: [(&str, &str); 3] = [
    ("alerts.yaml", include_str!("../../docker/monitoring/alerts.yaml")),
    ("dashboard.json", DASHBOARD),
    ("keda.yaml", include_str!("../../docker/monitoring/keda.yaml")),
];
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A metric: its kind and its labels.
type Listed = BTreeMap<String, (String, BTreeSet<String>)>;

/// The table of the page.
fn listed() -> Listed {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `tenant"));
    let read = |row: &str| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().to_owned());
        let (name, kind, labels) = (cells.next()?, cells.next()?, cells.next()?);
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((name.trim_matches('`').to_owned(), (kind, labels)))
    };
    rows.filter_map(read).collect()
}

/// What the text of `/metrics` shows.
fn shown(text: &str) -> Listed {
    let mut shown = Listed::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            kind.clone_into(&mut shown.entry(name.to_owned()).or_default().0);
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| name.strip_suffix(part));
        let base =
            parts.into_iter().find(|base| shown.get(*base).is_some_and(|found| found.0 == "histogram"));
        let labels =
            labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        let entry = shown.get_mut(base.unwrap_or(name)).expect("a series comes after its type");
        entry.1.extend(labels.filter(|label| label != "le"));
    }
    shown
}

/// The value of a series without labels, or with exactly these.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

struct Site {
    program: Program,
    client: Client,
}

impl Site {
    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.program.url)).bearer_auth(key)
    }

    async fn metrics(&self) -> String {
        let reply = self.request(Method::GET, "/metrics", TOKEN).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let media_type = reply.headers()["content-type"].to_str().unwrap();
        assert!(media_type.starts_with("text/plain; version=0.0.4"), "{media_type}");
        reply.text().await.unwrap()
    }

    /// Makes a tenant that can work. Returns its key.
    async fn tenant(&self, id: &str) -> String {
        let body = json!({ "id": id, "name": id });
        let made = self.request(Method::POST, "/api/v1/tenants", &self.program.operator_key).json(&body);
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let key = made["api_key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        wait_for("the tenant to be ready", async || {
            let reply = self.request(Method::GET, "/api/v1/kbs", &key).send().await.unwrap();
            if reply.status() == 200 { Ok(()) } else { Err(reply.status()) }
        })
        .await;
        key
    }

    async fn uploaded(&self, key: &str, name: &str, text: &str) {
        let part = reqwest::multipart::Part::text(text.to_owned()).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().part("file", part);
        let upload = self.request(Method::POST, "/api/v1/kbs/default/documents", key).multipart(form);
        assert_eq!(upload.send().await.unwrap().status(), 202);
        wait_for("the document to be in the graph", async || {
            let list = self.request(Method::GET, "/api/v1/kbs/default/documents", key).send().await.unwrap();
            let list: Value = list.json().await.unwrap();
            let found = list["documents"].as_array().unwrap().iter().find(|found| found["name"] == name);
            let status = found.map(|found| found["status"].clone());
            if status == Some("processed".into()) { Ok(()) } else { Err(status) }
        })
        .await;
    }
}

/// An endpoint that speaks OpenAI's chat completions.
async fn model() -> String {
    let answer = async || {
        let graph = json!({ "entities": [{ "name": "Ada", "type": "person", "description": "Ada." }],
            "relationships": [] });
        Json(json!({ "choices": [{ "message": { "content": graph.to_string() } }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3 } }))
    };
    let router = axum::Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Puts bytes that no program of ours signed into a tenant's queue.
async fn forge(data: &Path, tenant: &str) {
    let url = format!("redis+unix://{}", data.join("redis/redis.sock").display());
    let queue = fair_queue::Queue::connect(::jobs::queue::config(url.into())).await.unwrap();
    let skill = Skill::new("document.ingest", 1, "documents");
    let forged = NewJob::new(tenant.parse().unwrap(), skill, "{}", SystemClock.now());
    assert_eq!(queue.push(&[forged]).await.unwrap().accepted, 1);
}

async fn site(data: &Path) -> Site {
    let model = model().await;
    let settings = [
        ("TENANTRY_METRICS_TOKEN", TOKEN),
        ("TENANTRY_METRICS_TENANTS", "1"),
        ("OPENAI_BASE_URL", model.as_str()),
        ("OPENAI_MODEL", "test"),
    ];
    Site { program: Program::dev_with(data, &settings), client: http_client() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_what_is_shown_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let site = site(data.path()).await;
    let (acme, globex) = (site.tenant("acme").await, site.tenant("globex").await);
    site.uploaded(&acme, "ada.md", "Ada met Charles in London.").await;
    site.uploaded(&globex, "a.md", "Short.").await;
    forge(data.path(), "acme").await;
    let text = wait_for("every metric to be there", async || {
        let text = site.metrics().await;
        let (shown, listed) = (shown(&text), listed());
        // The tenants are walked through beside the readings.
        let walked = value(&text, "tenantry_tenants") == Some(2.0);
        // Readings are up to a second old: nothing runs any more in the last ones.
        let is_idle = value(&text, "tenantry_desired_workers") == Some(0.0);
        if shown == listed && walked && is_idle {
            return Ok(text);
        }
        let missing: Vec<_> = listed.iter().filter(|(name, is)| shown.get(*name) != Some(is)).collect();
        let unlisted: Vec<_> = shown.iter().filter(|(name, is)| listed.get(*name) != Some(is)).collect();
        Err(format!("not shown as listed: {missing:?}; not listed as shown: {unlisted:?}; walked: {walked}"))
    })
    .await;
    for (series, expected) in [
        (
            r#"tenantry_jobs_finished_total{queue="documents",type="document.ingest",outcome="completed"}"#,
            2.0,
        ),
        (r#"tenantry_jobs_enqueued_total{queue="enrich",type="graph.build"}"#, 2.0),
        (r#"tenantry_job_run_seconds_count{queue="documents",type="document.ingest"}"#, 2.0),
        (r#"tenantry_job_wait_seconds_count{queue="tenants",type="tenant.provision"}"#, 2.0),
        (r#"tenantry_jobs_refused_total{reason="envelope_malformed"}"#, 1.0),
        (r#"tenantry_jobs_quarantined_total{reason="envelope_malformed"}"#, 1.0),
        (r#"tenantry_model_calls_total{outcome="ok"}"#, 2.0),
        (r#"tenantry_model_tokens_total{direction="read"}"#, 14.0),
        (r#"tenantry_metrics_source_up{source="catalog"}"#, 1.0),
        (r#"tenantry_queue_workers{queue="documents",type="document.ingest"}"#, 1.0),
        ("tenantry_documents_without_job", 0.0),
        ("tenantry_accepted_without_job", 0.0),
        ("tenantry_jobs_enqueued_again_total", 0.0),
        ("tenantry_desired_workers", 0.0),
        (r#"tenantry_worker_slots{slots="jobs"}"#, 2.0),
        (r#"tenantry_worker_slots{slots="webhooks"}"#, 16.0),
        (r#"tenantry_worker_jobs_in_flight{slots="webhooks"}"#, 0.0),
        // The forged job is kept in quarantine.
        ("tenantry_queue_records", 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
    let route = r#"{method="POST",route="/api/v1/kbs/{kb}/documents",status="202"}"#;
    assert_eq!(value(&text, &format!("tenantry_http_requests_total{route}")), Some(2.0), "{text}");
    // One tenant is named, the other is among the others.
    for name in ["tenant_requests_total", "tenant_storage_bytes"] {
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect();
        let [acme, other] = lines[..] else { panic!("{lines:?}") };
        assert!(acme.starts_with(&format!(r#"{name}{{tenant="acme"}} "#)), "{acme}");
        assert!(
            other.starts_with(&format!(r#"{name}{{tenant="other"}} "#)) && !other.ends_with(" 0"),
            "{other}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_tenants_so_no_tenant_reads_them() {
    let data = tempfile::tempdir().unwrap();
    let site = site(data.path()).await;
    let acme = site.tenant("acme").await;
    let status = async |path: &str, key: &str| {
        site.request(Method::GET, path, key).send().await.unwrap().status().as_u16()
    };
    let anonymous = site.client.get(format!("{}/metrics", site.program.url)).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    assert!(!anonymous.text().await.unwrap().contains("acme"));
    assert_eq!(status("/metrics", &acme).await, 403);
    assert_eq!(status("/metrics", "0123456789abcdef0123456789abcdeX").await, 401);
    assert_eq!(status("/metrics", &site.program.operator_key).await, 200);
    assert_eq!(status("/metrics", TOKEN).await, 200);
    // The token is good for nothing else.
    for path in ["/api/v1/tenants", "/api/v1/tenants/acme", "/api/v1/kbs", "/api/v1/auth/me"] {
        assert_eq!(status(path, TOKEN).await, 401, "{path}");
    }
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tenantry_") || word.starts_with("tenant_")).collect()
}

#[test]
fn dashboard_alerts_and_scaling_use_what_is_listed() {
    let listed = listed();
    assert!(listed.len() > 30, "{listed:?}");
    let is_listed = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| name.strip_suffix(part));
        listed.contains_key(name)
            || parts.into_iter().any(|base| listed.get(base).is_some_and(|found| found.0 == "histogram"))
    };
    for (file, text) in USES {
        let unknown: Vec<_> = named(text).into_iter().filter(|name| !is_listed(name)).collect();
        assert!(unknown.is_empty(), "docker/monitoring/{file} names metrics that there are not: {unknown:?}");
    }
    // What is measured is to be seen.
    let seen: BTreeSet<_> =
        named(DASHBOARD).into_iter().map(|name| name.trim_end_matches("_bucket")).collect();
    let unseen: Vec<_> = listed.keys().filter(|name| !seen.contains(name.as_str())).collect();
    assert!(unseen.is_empty(), "the dashboard does not show {unseen:?}");
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()), "{panel}");
    }
}
