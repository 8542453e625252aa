//! How a worker is, for orchestrators and for Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use api_thin::{ConnectionLimits, Connections, listen};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use jobs::queue::{QueueError, WorkerObserver};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A worker whose queue was silent for longer is not ready: it polls every 1.5 s.
const SILENCE: Duration = Duration::from_secs(15);

/// Serves `/healthz` (the process is alive), `/readyz` (the queue answered lately and keeps what it is given) and
/// `/metrics` until `stop`. Silent clients are closed to make room for others, so that they do not make the worker look
/// dead.
pub async fn serve(listener: TcpListener, worker: WorkerObserver, stop: CancellationToken) {
    match Connections::new(ConnectionLimits::of_health_checks(), Vec::new()) {
        Ok(connections) => listen(listener, router(worker), Arc::new(connections), stop).await,
        Err(error) => tracing::error!("health is not served: {error}"),
    }
}

/// The routes.
pub fn router(worker: WorkerObserver) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(worker)
}

async fn readyz(State(worker): State<WorkerObserver>) -> impl IntoResponse {
    if let Some(policy) = worker.eviction_policy() {
        let text = format!("{}\n", QueueError::Eviction(policy.to_string()));
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let silent = worker.last_poll().elapsed();
    if silent <= SILENCE {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let text = format!("the queue has not answered for {} s\n", silent.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics(State(worker): State<WorkerObserver>) -> impl IntoResponse {
    let now = Metrics {
        in_flight: worker.in_flight(),
        stuck: worker.stuck(),
        oldest: worker.oldest_running().unwrap_or_default(),
        poll_age: worker.last_poll().elapsed(),
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], now.text())
}

/// What there is to say, under OpenTelemetry's names as Prometheus writes them.
struct Metrics {
    in_flight: usize,
    stuck: usize,
    oldest: Duration,
    poll_age: Duration,
}

impl Metrics {
    fn text(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a worker holds far fewer than 2^52 jobs")]
        let count = |jobs: usize| jobs as f64;
        let gauges = [
            ("tenantry_worker_jobs_in_flight", "Jobs that this worker holds.", count(self.in_flight)),
            (
                "tenantry_worker_jobs_stuck",
                "Jobs that go on although they were told to stop more than 5 s ago.",
                count(self.stuck),
            ),
            (
                "tenantry_worker_job_running_oldest_seconds",
                "How long the job that runs longest has been running.",
                self.oldest.as_secs_f64(),
            ),
            (
                "tenantry_worker_poll_age_seconds",
                "How long ago the queue last answered.",
                self.poll_age.as_secs_f64(),
            ),
        ];
        let mut text = String::new();
        for (name, help, value) in gauges {
            let written = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
            written.expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_as_prometheus_reads_them() {
        let now = Metrics {
            in_flight: 3,
            stuck: 1,
            oldest: Duration::from_millis(1_500),
            poll_age: Duration::ZERO,
        };
        let text = now.text();
        for line in [
            "# TYPE tenantry_worker_jobs_stuck gauge",
            "tenantry_worker_jobs_in_flight 3",
            "tenantry_worker_jobs_stuck 1",
            "tenantry_worker_job_running_oldest_seconds 1.5",
            "tenantry_worker_poll_age_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.starts_with('#') || line.split(' ').count() == 2));
    }
}
