//! What a worker counts and measures, through the facade [`metrics`]: a program that embeds the worker installs the
//! recorder it likes before it starts one, and pays nothing without.
//!
//! Labels are the queue and the type of registered jobs, outcomes and reasons that are listed in code. Nothing here
//! names a tenant or a job.

use std::time::Duration;

use jobs::queue::Verdict;
use metrics::{counter, describe_counter, describe_histogram, histogram};

use crate::health;
use crate::registry::Registry;

const STARTED: &str = "tenantry_jobs_started_total";
const FINISHED: &str = "tenantry_jobs_finished_total";
const QUARANTINED: &str = "tenantry_jobs_quarantined_total";
const REFUSED: &str = "tenantry_jobs_refused_total";
const WAIT: &str = "tenantry_job_wait_seconds";
const RUN: &str = "tenantry_job_run_seconds";
const RELAYED: &str = "tenantry_outbox_relayed_total";
const RECONCILED: &str = "tenantry_jobs_enqueued_again_total";
const FIRED: &str = "tenantry_schedules_fired_total";

/// Tells the recorder what the metrics of this crate, of the stores and of the queue mean.
pub fn describe() {
    jobs::metrics::describe();
    stores::metrics::describe();
    health::describe();
    describe_counter!(STARTED, "Attempts that began: the job was verified and passed to its handler.");
    describe_counter!(FINISHED, "Attempts that ended, by outcome.");
    describe_counter!(QUARANTINED, "Jobs that were quarantined, by reason.");
    describe_counter!(REFUSED, "Jobs that were refused before their handler, by reason.");
    describe_histogram!(WAIT, "From when a job was due to its first attempt.");
    describe_histogram!(RUN, "How long an attempt took.");
    describe_counter!(RELAYED, "Jobs that the outbox relay put into the queue.");
    describe_counter!(RECONCILED, "Accepted jobs that the queue had lost and got again.");
    describe_counter!(FIRED, "Schedules that fired.");
}

/// How attempts end, as [`outcome`] names it. None ends in quarantine: a job that may not run has no attempt.
const OUTCOMES: [&str; 7] =
    ["completed", "retried", "waiting", "discarded", "cancelled", "parked", "released"];
/// Why the queue quarantines jobs by itself.
const QUEUE_REASONS: [&str; 3] = ["worker_died", "record_damaged", "record_missing"];

/// The name of how an attempt ended.
pub(crate) const fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Completed => "completed",
        Verdict::Retry { .. } => "retried",
        Verdict::Waiting { .. } => "waiting",
        Verdict::Discarded { .. } => "discarded",
        Verdict::Quarantined { .. } => "quarantined",
        Verdict::Dropped { .. } => "cancelled",
        Verdict::Parked { .. } => "parked",
        Verdict::Released => "released",
    }
}

/// Begins the counters at 0, so that the first of something is an increase too.
pub(crate) fn begin(registry: &Registry) {
    for policy in registry.policies() {
        counter!(STARTED, "queue" => policy.queue, "type" => policy.kind).increment(0);
        for outcome in OUTCOMES {
            let labels = [("queue", policy.queue), ("type", policy.kind), ("outcome", outcome)];
            counter!(FINISHED, &labels).increment(0);
        }
    }
    for reason in QUEUE_REASONS {
        counter!(QUARANTINED, "reason" => reason).increment(0);
    }
    counter!(RELAYED).increment(0);
    counter!(RECONCILED).increment(0);
    counter!(FIRED).increment(0);
}

/// An attempt begins. `waited` is known for the first one.
pub(crate) fn started(queue: &'static str, kind: &'static str, waited: Option<Duration>) {
    counter!(STARTED, "queue" => queue, "type" => kind).increment(1);
    if let Some(waited) = waited {
        histogram!(WAIT, "queue" => queue, "type" => kind).record(waited);
    }
}

/// An attempt ended after `took`.
pub(crate) fn finished(queue: &'static str, kind: &'static str, verdict: &Verdict, took: Duration) {
    counter!(FINISHED, "queue" => queue, "type" => kind, "outcome" => outcome(verdict)).increment(1);
    histogram!(RUN, "queue" => queue, "type" => kind).record(took);
}

/// A job was refused by verification.
pub(crate) fn refused(reason: &'static str, verdict: &Verdict) {
    counter!(REFUSED, "reason" => reason).increment(1);
    if let Verdict::Quarantined { code, .. } = verdict {
        quarantined(code);
    }
}

/// A job was quarantined.
pub(crate) fn quarantined(reason: &'static str) {
    counter!(QUARANTINED, "reason" => reason).increment(1);
}

/// The queue got jobs again that it had lost.
pub(crate) fn reconciled(jobs: usize) {
    counter!(RECONCILED).increment(u64::try_from(jobs).unwrap_or(u64::MAX));
}

/// The outbox relay put jobs into the queue.
pub(crate) fn relayed(jobs: usize) {
    counter!(RELAYED).increment(u64::try_from(jobs).unwrap_or(u64::MAX));
}

/// A schedule fired.
pub(crate) fn fired() {
    counter!(FIRED).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_begins_at_zero() {
        let reason = || "why".to_owned();
        let verdicts = [
            Verdict::Completed,
            Verdict::Retry { after: Duration::ZERO, error: reason() },
            Verdict::Waiting { after: Duration::ZERO, reason: reason() },
            Verdict::Discarded { code: "c", reason: reason() },
            Verdict::Dropped { reason: reason() },
            Verdict::Parked { reason: reason() },
            Verdict::Released,
        ];
        assert_eq!(verdicts.each_ref().map(outcome), OUTCOMES);
    }
}
