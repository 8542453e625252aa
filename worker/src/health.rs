//! Readiness and metrics of a worker, for orchestrators and for Prometheus. Serving them over HTTP is up to the
//! program.

use std::fmt::Write as _;
use std::time::Duration;

use jobs::queue::{QueueError, WorkerObserver};

/// Without an answer of the queue for this long a worker is not ready; it polls every 1.5 s.
const SILENCE: Duration = Duration::from_secs(15);

/// Whether the worker can do its work: the queue answered within 15 s, and its Redis evicts nothing.
///
/// # Errors
/// The reason why not, one line for people.
pub fn ready(worker: &WorkerObserver) -> Result<(), String> {
    if let Some(policy) = worker.eviction_policy() {
        return Err(QueueError::Eviction(policy.to_string()).to_string());
    }
    let silent = worker.last_poll().elapsed();
    if silent <= SILENCE {
        return Ok(());
    }
    Err(format!("the queue has not answered for {} s", silent.as_secs()))
}

/// The worker's gauges in Prometheus' text format, of media type [`METRICS_TYPE`].
pub fn metrics(worker: &WorkerObserver) -> String {
    let now = Metrics {
        in_flight: worker.in_flight(),
        stuck: worker.stuck(),
        oldest: worker.oldest_running().unwrap_or_default(),
        poll_age: worker.last_poll().elapsed(),
    };
    now.text()
}

/// The media type of [`metrics`].
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The gauges, under OpenTelemetry's names as Prometheus writes them.
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
