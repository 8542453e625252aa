//! What a reader of metrics gets.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::error::report;
use jobs::metrics::QueueSampler;
use jobs::queue::Queue;
use jobs::tenant::TenantId;
use metrics::{describe_gauge, gauge};
use secrecy::SecretString;
use stores::metrics::StoreSampler;
use tokio::sync::Mutex;

use super::exporter;
use super::survey::Survey;
use super::tenant_series::TenantCounter;
use crate::auth::SecretHash;
use crate::config::MetricsConfig;
use crate::state::ApiState;

const SOURCE_UP: &str = "tenantry_metrics_source_up";
const TENANTS: &str = "tenantry_tenants";
const WITHOUT_JOB: &str = "tenantry_documents_without_job";
const UPLOAD_BYTES: &str = "tenantry_http_upload_memory_bytes";

/// Queue and stores are asked once in this time, however many readers there are.
const FRESH: Duration = Duration::from_secs(1);
/// How long queue and stores may take to answer. Prometheus waits 10 s.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) fn describe() {
    describe_gauge!(SOURCE_UP, "Whether queue and catalog answered when these metrics were read.");
    describe_gauge!(TENANTS, "Tenants of the installation, as of the last walk through all of them.");
    describe_gauge!(
        WITHOUT_JOB,
        "Documents that wait for a job that is neither in the queue nor in the outbox."
    );
    describe_gauge!(UPLOAD_BYTES, "Memory that uploads hold.");
}

/// Records what the program around the API knows, just before metrics are read.
#[derive(Clone)]
pub struct Sampled(Arc<dyn Fn() + Send + Sync>);

impl Sampled {
    /// Calls `sample` each time.
    pub fn new(sample: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(sample))
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sampled")
    }
}

/// The metrics of an API.
pub(crate) struct Metrics {
    token: Option<SecretHash>,
    requests: TenantCounter,
    survey: Survey,
    queue: QueueSampler,
    stores: StoreSampler,
    program: Option<Sampled>,
    sampled: Mutex<Option<Instant>>,
}

impl Metrics {
    pub(crate) fn new(
        config: &MetricsConfig,
        queue: Queue,
        stores: StoreSampler,
        program: Option<Sampled>,
    ) -> Self {
        Self {
            token: config.token.as_ref().map(SecretHash::of),
            requests: TenantCounter::new(config.tenants),
            survey: Survey::new(config.tenants),
            queue: QueueSampler::new(queue, config.worker_slots),
            stores,
            program,
            sampled: Mutex::default(),
        }
    }

    /// Whether `given` is the token of those who read metrics.
    pub(crate) fn is_reader(&self, given: &SecretString) -> bool {
        self.token.as_ref().is_some_and(|token| *token == SecretHash::of(given))
    }

    /// Counts a request of a member of the tenant.
    pub(crate) fn requested(&self, tenant: &TenantId) {
        self.requests.count(tenant);
    }

    pub(crate) fn stores(&self) -> &StoreSampler {
        &self.stores
    }

    /// All metrics of the process, in Prometheus' text format.
    pub(crate) async fn text(&self, app: &ApiState) -> String {
        self.sample(app).await;
        let findings = self.survey.findings();
        if let Some(findings) = &findings {
            gauge!(TENANTS).set(float(findings.tenants));
            gauge!(WITHOUT_JOB).set(float(findings.documents_without_job));
        }
        let mut text = exporter::text();
        let help = "Requests of members, by tenant.";
        self.requests.write("tenant_requests_total", help, &mut text);
        if let Some(findings) = findings {
            let help = "Bytes of documents and of what is made of them, by tenant.";
            findings.storage_bytes.write("tenant_storage_bytes", help, &mut text);
            findings.users.write("tenant_users_count", "Members, by tenant.", &mut text);
        }
        text
    }

    async fn sample(&self, app: &ApiState) {
        let mut sampled = self.sampled.lock().await;
        if sampled.is_some_and(|sampled| sampled.elapsed() < FRESH) {
            return;
        }
        let now = app.clock().now();
        gauge!(UPLOAD_BYTES).set(float(app.budget().held() as u64));
        if let Some(Sampled(sample)) = &self.program {
            sample();
        }
        let queue = answered("queue", PATIENCE, self.queue.sample(now));
        let catalog = answered("catalog", PATIENCE, self.stores.sample(now));
        tokio::join!(queue, catalog);
        let app = app.clone();
        tokio::spawn(async move { app.metrics().survey.go_on(&app).await });
        *sampled = Some(Instant::now());
    }
}

/// Records whether a source of gauges answered within `patience`. Its gauges keep their values while it does not.
pub async fn answered<E>(
    source: &'static str,
    patience: Duration,
    sample: impl Future<Output = Result<(), E>>,
) where
    E: std::error::Error + 'static,
{
    let done = tokio::time::timeout(patience, sample).await;
    if let Ok(Err(error)) = &done {
        tracing::warn!(source, error = report(error), "metrics are incomplete");
    }
    gauge!(SOURCE_UP, "source" => source).set(u32::from(matches!(done, Ok(Ok(())))));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and counts are far below 2^52")]
const fn float(count: u64) -> f64 {
    count as f64
}
