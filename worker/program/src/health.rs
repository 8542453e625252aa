//! Health and metrics of a worker over HTTP, for `tenantry worker`.

use std::net::SocketAddr;
use std::sync::Arc;

use api_thin::program::{bind, listen_address};
use api_thin::{ConnectionLimits, Connections, InvalidConfig, listen};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Args;
use jobs::queue::WorkerObserver;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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

/// Serves `/healthz` (the process is alive), `/readyz` (the queue answered lately and its Redis evicts nothing) and
/// `/metrics` until `stop`. Idle connections are closed to make room for others, so that they cannot make the
/// worker look dead.
pub async fn serve(listener: TcpListener, worker: WorkerObserver, stop: CancellationToken) {
    match Connections::new(ConnectionLimits::of_health_checks(), Vec::new()) {
        Ok(connections) => listen(listener, router(worker), Arc::new(connections), stop).await,
        Err(error) => tracing::error!("health is not served: {error}"),
    }
}

fn router(worker: WorkerObserver) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(worker)
}

async fn readyz(State(worker): State<WorkerObserver>) -> impl IntoResponse {
    match worker::health::ready(&worker) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(worker): State<WorkerObserver>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, worker::health::METRICS_TYPE)], worker::health::metrics(&worker))
}
