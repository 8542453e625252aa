//! The recorder of a process, and its text.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The media type of [`text`].
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of all histograms, in seconds: from a call of a store to a job that waited for an hour.
const BUCKETS: [f64; 13] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3_600.0];
/// How often what was measured is put into its buckets. Until then it takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to record what this process counts and measures. Once is enough; without it [`text`] is empty.
///
/// # Errors
/// When the recorder cannot be built, which only wrong buckets could be a reason for.
pub fn start_recorder() -> Result<(), BuildError> {
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // A program that embeds the API and has a recorder of its own keeps it: the metrics are there then.
    if metrics::set_global_recorder(recorder).is_ok() {
        let _ = RECORDER.set(handle);
    }
    describe();
    Ok(())
}

/// Tells the recorder what the metrics of the API, of the stores and of the queue mean.
pub fn describe() {
    jobs::metrics::describe();
    stores::metrics::describe();
    super::describe_requests();
    super::scrape::describe();
}

/// Puts what was measured into its buckets, again and again. Never returns.
pub async fn keep_up() {
    let mut pace = tokio::time::interval(UPKEEP);
    loop {
        pace.tick().await;
        if let Some(recorder) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

/// All that was recorded so far, in Prometheus' text format.
#[must_use]
pub fn text() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_in_the_text() {
        start_recorder().unwrap();
        start_recorder().unwrap();
        metrics::histogram!("tenantry_test_seconds", "what" => "it").record(0.3);
        metrics::counter!("tenantry_test_total").increment(2);
        let text = text();
        for line in [
            "# TYPE tenantry_test_seconds histogram",
            r#"tenantry_test_seconds_bucket{what="it",le="0.25"} 0"#,
            r#"tenantry_test_seconds_bucket{what="it",le="0.5"} 1"#,
            "# TYPE tenantry_test_total counter",
            "tenantry_test_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
