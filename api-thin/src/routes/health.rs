//! Liveness, readiness and metrics of the process.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jobs::error::report;
use jobs::queue::QueueError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::METRICS_TYPE;
use crate::problem::{Code, Problem};
use crate::request::MetricsReader;
use crate::state::ApiState;

const PATIENCE: Duration = Duration::from_secs(2);

/// How the process is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`.
    #[schemars(with = "super::enumerations::HealthStatus")]
    status: &'static str,
}

/// Whether the process can do its work.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Readiness {
    /// `ready`.
    #[schemars(with = "super::enumerations::ReadyStatus")]
    status: &'static str,
    details: ReadinessDetails,
}

/// What does not keep the process from its work.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReadinessDetails {
    /// Accepted jobs that the queue lost and that have not been seen there since. Workers enqueue them again. Null when
    /// it is not known.
    accepted_without_job: Option<u64>,
}

/// The process is alive.
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Ready when the queue and the catalog answer, and Redis does not evict jobs.
pub(super) async fn readyz(State(app): State<ApiState>) -> Result<Json<Readiness>, Problem> {
    let queue = answers("queue", app.queue().ping());
    let catalog = answers("catalog", app.directory().ping());
    let missing = tokio::time::timeout(PATIENCE, app.metrics().stores().measures().missing());
    let (queue, catalog, missing) = tokio::join!(queue, catalog, missing);
    let away: Vec<&str> = [queue, catalog].into_iter().flatten().collect();
    if let Some(policy) = app.queue().eviction_policy() {
        let detail = QueueError::Eviction(policy.to_string()).to_string();
        return Err(Problem::new(Code::Unavailable, detail).retry_after_s(2));
    }
    if away.is_empty() {
        let accepted_without_job = missing.ok().and_then(Result::ok).map(|missing| missing.rows);
        return Ok(Json(Readiness { status: "ready", details: ReadinessDetails { accepted_without_job } }));
    }
    let detail = format!("no answer from: {}", away.join(", "));
    Err(Problem::new(Code::Unavailable, detail).retry_after_s(2))
}

/// The name of a server that does not answer.
async fn answers<E>(name: &'static str, ping: impl Future<Output = Result<(), E>>) -> Option<&'static str>
where
    E: std::error::Error + 'static,
{
    match tokio::time::timeout(PATIENCE, ping).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(server = name, error = report(&error), "not ready");
            Some(name)
        }
        Err(_) => Some(name),
    }
}

/// Metrics in Prometheus' text format.
pub(crate) struct Exposition(String);

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, METRICS_TYPE)], self.0).into_response()
    }
}

/// What this process counted and measured, and how queue and catalog are.
pub(super) async fn metrics(_: MetricsReader, State(app): State<ApiState>) -> Exposition {
    Exposition(app.metrics().text(&app).await)
}
