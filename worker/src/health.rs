//! How a worker is: its readiness, for orchestrators, and its gauges. Serving them over HTTP is up to the program.
//!
//! A worker has slots for jobs, and others for deliveries of webhooks, if it delivers any. Each of them claims jobs by
//! itself.

use std::time::Duration;

use jobs::queue::{QueueError, WorkerObserver};
use metrics::{counter, describe_counter, describe_gauge, gauge};

/// Without an answer of the queue for this long a worker is not ready; it polls every 1.5 s.
const SILENCE: Duration = Duration::from_secs(15);

/// Watches all slots of a worker.
#[derive(Debug, Clone)]
pub struct Observer {
    jobs: WorkerObserver,
    webhooks: Option<WorkerObserver>,
}

impl Observer {
    pub(crate) fn new(jobs: WorkerObserver, webhooks: Option<WorkerObserver>) -> Self {
        Self { jobs, webhooks }
    }

    /// The slots, each with what they are for: `jobs` and, if the worker delivers any, `webhooks`.
    pub fn slots(&self) -> impl Iterator<Item = (&'static str, &WorkerObserver)> {
        let webhooks = self.webhooks.as_ref().map(|webhooks| ("webhooks", webhooks));
        std::iter::once(("jobs", &self.jobs)).chain(webhooks)
    }

    /// Whether the worker may claim jobs.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.slots().any(|(_, slots)| slots.is_fetching())
    }

    /// Tells all slots to claim no more jobs, or to go on.
    pub(crate) fn set_fetching(&self, fetching: bool) {
        self.slots().for_each(|(_, slots)| slots.set_fetching(fetching));
    }
}

/// Whether the worker can do its work: the queue answered all of its slots within 15 s, and its Redis evicts nothing. A
/// worker that was told to stop fetching is ready.
///
/// # Errors
/// The reason why not, one line for people.
pub fn ready(worker: &Observer) -> Result<(), String> {
    for (name, slots) in worker.slots() {
        if let Some(policy) = slots.eviction_policy() {
            return Err(QueueError::Eviction(policy.to_string()).to_string());
        }
        let silent = slots.last_poll().elapsed();
        if silent > SILENCE {
            return Err(format!(
                "the queue has not answered the slots for {name} for {} s",
                silent.as_secs()
            ));
        }
    }
    Ok(())
}

/// What the slots are for.
const LABEL: &str = "slots";
const SLOTS: &str = "tenantry_worker_slots";
const IN_FLIGHT: &str = "tenantry_worker_jobs_in_flight";
const STUCK: &str = "tenantry_worker_jobs_stuck";
const OLDEST: &str = "tenantry_worker_job_running_oldest_seconds";
const POLL_AGE: &str = "tenantry_worker_poll_age_seconds";
const FETCHING: &str = "tenantry_worker_fetching";
const LOST: &str = "tenantry_jobs_lost_total";

pub(crate) fn describe() {
    describe_gauge!(SLOTS, "How many jobs this worker runs at the same time.");
    describe_gauge!(IN_FLIGHT, "Jobs that this worker holds.");
    describe_gauge!(STUCK, "Jobs that go on although they were told to stop more than 5 s ago.");
    describe_gauge!(OLDEST, "How long the job that runs longest has been running.");
    describe_gauge!(POLL_AGE, "How long ago the queue last answered.");
    describe_gauge!(FETCHING, "Whether this worker may claim jobs: 0 while an operator has told it to stop.");
    describe_counter!(LOST, "Jobs that this worker took back from workers that died.");
}

/// Records how a worker is now. Call it before its metrics are read.
pub fn sample(worker: &Observer) {
    gauge!(FETCHING).set(f64::from(u8::from(worker.is_fetching())));
    for (name, slots) in worker.slots() {
        gauge!(SLOTS, LABEL => name).set(float(slots.slots()));
        gauge!(IN_FLIGHT, LABEL => name).set(float(slots.in_flight()));
        gauge!(STUCK, LABEL => name).set(float(slots.stuck()));
        gauge!(OLDEST, LABEL => name).set(slots.oldest_running().unwrap_or_default().as_secs_f64());
        gauge!(POLL_AGE, LABEL => name).set(slots.last_poll().elapsed().as_secs_f64());
        counter!(LOST, LABEL => name).absolute(slots.taken_back());
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and a worker holds far fewer than 2^52 jobs"
)]
const fn float(count: usize) -> f64 {
    count as f64
}
