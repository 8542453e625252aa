//! Health and metrics of a worker over HTTP, for `tenantry worker`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_thin::metrics::{self, METRICS_TYPE, answered, start_recorder};
use api_thin::program::{bind, listen_address};
use api_thin::{ConnectionLimits, Connections, InvalidConfig, listen};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Args;
use jobs::clock::{Clock as _, SystemClock};
use jobs::metrics::QueueSampler;
use jobs::queue::Queue;
use stores::metrics::StoreSampler;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use worker::health::Observer;

/// Whether a worker shows how it is.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthSettings {
    /// Address and port for /healthz, /readyz and /metrics. They ask for no credentials, so keep them inside.
    /// Nothing is served by default.
    #[arg(
        long = "health-listen",
        env = "TENANTRY_HEALTH_LISTEN",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    pub listen: Option<SocketAddr>,
}

impl HealthSettings {
    /// Binds the listener, if an address is configured.
    ///
    /// # Errors
    /// When the address is taken; the text names the setting.
    pub async fn bind(&self) -> Result<Option<TcpListener>, InvalidConfig> {
        match self.listen {
            Some(address) => bind("TENANTRY_HEALTH_LISTEN", address).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Begins to record what API, worker, handlers, stores and queue count and measure.
///
/// # Errors
/// When the recorder cannot be built.
pub fn start_metrics() -> anyhow::Result<()> {
    start_recorder()?;
    worker::metrics::describe();
    ingest::metrics::describe();
    Ok(())
}

/// What a worker tells of itself, and of the queue and the stores that it works with.
pub struct Health {
    worker: Observer,
    queue: QueueSampler,
    stores: StoreSampler,
    /// Held while queue and stores are asked.
    sampling: Mutex<()>,
}

/// How long queue and stores may take to answer. Prometheus waits 10 s.
const PATIENCE: Duration = Duration::from_secs(4);

impl Health {
    /// What `worker` tells, which runs `slots` jobs at the same time.
    #[must_use]
    pub fn new(worker: Observer, queue: Queue, slots: u16, stores: StoreSampler) -> Self {
        Self { worker, queue: QueueSampler::new(queue, slots), stores, sampling: Mutex::default() }
    }

    /// All metrics of the process. Those of a queue or a catalog that does not answer keep their values.
    async fn metrics(&self) -> String {
        let _one_at_a_time = self.sampling.lock().await;
        worker::health::sample(&self.worker);
        let now = SystemClock.now();
        tokio::join!(
            answered("queue", PATIENCE, self.queue.sample(now)),
            answered("catalog", PATIENCE, self.stores.sample(now)),
        );
        metrics::text()
    }
}

/// Serves `/healthz` (the process is alive), `/readyz` (the queue answered lately and its Redis evicts nothing) and
/// `/metrics` until `stop`. Idle connections are closed to make room for others, so that they cannot make the
/// worker look dead.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    let upkeep = tokio::spawn(metrics::keep_up());
    match Connections::new(ConnectionLimits::of_health_checks(), Vec::new()) {
        Ok(connections) => listen(listener, router(health), Arc::new(connections), stop).await,
        Err(error) => tracing::error!("health is not served: {error}"),
    }
    upkeep.abort();
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .with_state(Arc::new(health))
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    match worker::health::ready(&health.worker) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn show_metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], health.metrics().await)
}
