//! How a worker is: its readiness, for orchestrators, and its gauges. Serving them over HTTP is up to the program.

use std::time::Duration;

use jobs::queue::{QueueError, WorkerObserver};
use metrics::{counter, describe_counter, describe_gauge, gauge};

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

const SLOTS: &str = "tenantry_worker_slots";
const IN_FLIGHT: &str = "tenantry_worker_jobs_in_flight";
const STUCK: &str = "tenantry_worker_jobs_stuck";
const OLDEST: &str = "tenantry_worker_job_running_oldest_seconds";
const POLL_AGE: &str = "tenantry_worker_poll_age_seconds";
const LOST: &str = "tenantry_jobs_lost_total";

pub(crate) fn describe() {
    describe_gauge!(SLOTS, "How many jobs this worker runs at the same time.");
    describe_gauge!(IN_FLIGHT, "Jobs that this worker holds.");
    describe_gauge!(STUCK, "Jobs that go on although they were told to stop more than 5 s ago.");
    describe_gauge!(OLDEST, "How long the job that runs longest has been running.");
    describe_gauge!(POLL_AGE, "How long ago the queue last answered.");
    describe_counter!(LOST, "Jobs that this worker took back from workers that died.");
}

/// Records how a worker is now. Call it before its metrics are read.
pub fn sample(worker: &WorkerObserver) {
    gauge!(SLOTS).set(float(worker.slots()));
    gauge!(IN_FLIGHT).set(float(worker.in_flight()));
    gauge!(STUCK).set(float(worker.stuck()));
    gauge!(OLDEST).set(worker.oldest_running().unwrap_or_default().as_secs_f64());
    gauge!(POLL_AGE).set(worker.last_poll().elapsed().as_secs_f64());
    counter!(LOST).absolute(worker.taken_back());
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and a worker holds far fewer than 2^52 jobs"
)]
const fn float(count: usize) -> f64 {
    count as f64
}
