//! What each error of a handler leads to: one table from [`JobError`] to [`Verdict`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobError;
use jobs::envelope::{Envelope, Refusal};
use jobs::queue::Verdict;

/// The longest reason that is kept with a job, in bytes.
const REASON_MAX_BYTES: usize = 300;

/// The longest wait that a service can ask for.
const ASKED_MAX: Duration = Duration::from_secs(3600);
/// How far apart jobs come back that were told the same time to wait.
const SPREAD_MAX: Duration = Duration::from_secs(60);
/// How often a job may wait for a service however old it is: it may have been paused for days before, or have been
/// started again as a dead letter.
const WAITS_AT_LEAST: u32 = 12;

/// What the backoff is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// Failed attempts, this one included.
    pub(crate) failures: u32,
    /// How often the job has waited before.
    pub(crate) waits: u32,
    /// How old a job may be that waits for a service or a store, counted from when it could first run. Not without end,
    /// because the job itself may be what takes the server down each time.
    pub(crate) wait_max: Duration,
    pub(crate) now: DateTime<Utc>,
    /// Jitter, uniform in 0..1.
    pub(crate) random: f64,
}

/// The verdict on an attempt that failed.
pub(crate) fn after_failure(error: &JobError, envelope: &Envelope, failure: Failure) -> Verdict {
    let Failure { failures, random, .. } = failure;
    let wait = envelope.retry.wait(failures, random);
    match error {
        JobError::Interrupted => Verdict::Released,
        JobError::Fail { code, reason } | JobError::Unusable { code, reason } => {
            Verdict::Discarded { code, reason: shortened(reason) }
        }
        // Parks the tenant, so that its other jobs need not find out one by one that the store is away.
        JobError::Unavailable(_) if is_patient(envelope, failure) => {
            Verdict::Parked { reason: shortened(&jobs::error::report(error)) }
        }
        JobError::Wait { what, source, .. }
            if failure.waits >= WAITS_AT_LEAST && !is_patient(envelope, failure) =>
        {
            let reason = format!(
                "waited {} for {what}: {}; start it again when that works",
                spoken(failure.now - since(envelope)),
                jobs::error::report(source.as_ref())
            );
            Verdict::Discarded { code: "waited_too_long", reason: shortened(&reason) }
        }
        JobError::Wait { what, after, source } => Verdict::Waiting {
            after: pause(*after, envelope.retry.wait(failure.waits + 1, random), random),
            reason: shortened(&format!("{what}: {}", jobs::error::report(source.as_ref()))),
        },
        JobError::Retry(_) | JobError::RetryAfter { .. } | JobError::Unavailable(_)
            if failures >= envelope.retry.max_attempts =>
        {
            let reason = format!("attempt {failures} of {failures} failed: {}", jobs::error::report(error));
            Verdict::Discarded { code: "attempts_exhausted", reason: shortened(&reason) }
        }
        JobError::Retry(_) | JobError::Unavailable(_) => retry(wait, error),
        // The wait that the handler asks for, plus jitter, so that rejected jobs do not all come back at once.
        JobError::RetryAfter { after, .. } => retry(*after + wait.min(*after / 4), error),
    }
}

/// Whether the job may still wait without counting attempts.
fn is_patient(envelope: &Envelope, failure: Failure) -> bool {
    (failure.now - since(envelope)).to_std().is_ok_and(|age| age < failure.wait_max)
}

/// At least what the service asks for, and spread, so that jobs that were turned away together do not come back
/// together.
fn pause(asked: Option<Duration>, backoff: Duration, random: f64) -> Duration {
    let Some(asked) = asked.map(|asked| asked.min(ASKED_MAX)) else { return backoff };
    asked + backoff.min(SPREAD_MAX).max(asked / 4).mul_f64(random.clamp(0.0, 1.0))
}

/// As people say it, in the largest unit of which there are two.
fn spoken(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (days @ 2.., ..) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes) => format!("{minutes} minutes"),
    }
}

/// When the job could first run: its due time or its creation, whichever is later.
fn since(envelope: &Envelope) -> DateTime<Utc> {
    let created_at = envelope.meta.created_at;
    envelope.scheduled_at.map_or(created_at, |at| at.max(created_at))
}

fn retry(after: Duration, error: &JobError) -> Verdict {
    Verdict::Retry { after, error: shortened(&jobs::error::report(error)) }
}

/// The verdict on a job that was refused by verification.
pub(crate) fn after_refusal(refusal: &Refusal) -> Verdict {
    let (code, reason) = (refusal.code(), shortened(&jobs::error::report(refusal)));
    match refusal {
        Refusal::Malformed
        | Refusal::UnknownKey
        | Refusal::BadSignature
        | Refusal::Altered
        | Refusal::ForeignQueue
        | Refusal::UnknownTenant => Verdict::Quarantined { code, reason },
        Refusal::Forbidden(_) => Verdict::Discarded { code, reason },
        // Valid when the job was signed, and deleted or cancelled since: nothing is wrong, and no work is left.
        Refusal::UnknownKb | Refusal::StaleEpoch | Refusal::Cancelled | Refusal::Expired => {
            Verdict::Dropped { reason }
        }
        Refusal::TenantNotReady(_) | Refusal::Directory(_) => Verdict::Parked { reason },
    }
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(REASON_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use jobs::tenant::{DirectoryError, Permission, TenantStatus};

    use super::*;

    fn envelope(max_attempts: u32) -> Envelope {
        let text = format!(
            r#"{{"specversion":"1.0","id":"018bcfe5-6800-7d56-9e41-37951d9c9268","type":"t","queue":"q","args":[{{}}],
            "meta":{{"version":1,"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "created_at":"2026-01-01T00:00:00Z"}},"priority":0,"timeout":1,"retry":{{"max_attempts":{max_attempts},
            "initial_interval":"PT1S","backoff_coefficient":2.0,"max_interval":"PT5M","jitter":true}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn failed(failures: u32, random: f64) -> Failure {
        let (waits, wait_max) = (0, Duration::from_secs(86_400));
        Failure { failures, waits, wait_max, now: "2026-01-01T00:10:00Z".parse().unwrap(), random }
    }

    fn busy(after: Option<u64>) -> JobError {
        JobError::wait("the model", after.map(Duration::from_secs), "it answered 429")
    }

    fn waited(error: &JobError, failure: Failure) -> (Duration, String) {
        let Verdict::Waiting { after, reason } = after_failure(error, &envelope(1), failure) else {
            panic!()
        };
        (after, reason)
    }

    #[test]
    fn a_busy_service_costs_no_attempt_and_waits_grow_and_are_spread() {
        let of = |waits, random| Failure { waits, ..failed(99, random) };
        let (after, reason) = waited(&busy(None), of(0, 1.0));
        assert_eq!((after.as_secs(), reason.as_str()), (1, "the model: it answered 429"));
        let seconds = |after, waits, random| waited(&busy(after), of(waits, random)).0.as_secs();
        assert_eq!((seconds(None, 3, 0.0), seconds(None, 3, 1.0), seconds(None, 99, 1.0)), (4, 8, 300));
        assert_eq!((seconds(Some(100), 0, 0.0), seconds(Some(100), 0, 1.0)), (100, 125));
        assert_eq!((seconds(Some(2), 9, 0.5), seconds(Some(2), 9, 1.0)), (32, 62));
        assert_eq!(seconds(Some(999_999), 0, 0.0), 3600);
    }

    #[test]
    fn a_job_that_waited_too_long_says_for_what() {
        let late = |waits| Failure { waits, now: "2026-01-03T12:00:00Z".parse().unwrap(), ..failed(1, 0.0) };
        let last = after_failure(&busy(None), &envelope(8), late(WAITS_AT_LEAST));
        let Verdict::Discarded { code, reason } = last else { panic!("{last:?}") };
        assert_eq!(code, "waited_too_long");
        assert!(reason.starts_with("waited 2 days for the model: it answered 429; "), "{reason}");
        // It was paused for days before, or was started again.
        waited(&busy(None), late(WAITS_AT_LEAST - 1));
        // However often, it is the age that counts.
        waited(&busy(None), Failure { waits: 99, ..failed(1, 0.0) });
    }

    #[test]
    fn ages_are_spoken_in_the_largest_unit_of_which_there_are_two() {
        let cases = [(90, "90 minutes"), (180, "3 hours"), (2_820, "47 hours"), (2_880, "2 days")];
        for (minutes, words) in cases {
            assert_eq!(spoken(TimeDelta::minutes(minutes)), words);
        }
    }

    #[test]
    fn a_job_waits_a_day_for_a_server_that_is_away_whatever_attempts_it_had() {
        let error = JobError::unavailable("the disk is full");
        let waits = after_failure(&error, &envelope(1), failed(50, 0.0));
        assert!(
            matches!(&waits, Verdict::Parked { reason } if reason.contains("the disk is full")),
            "{waits:?}"
        );
        let late = Failure { now: "2026-01-02T00:00:00Z".parse().unwrap(), ..failed(1, 0.0) };
        assert!(matches!(after_failure(&error, &envelope(2), late), Verdict::Retry { .. }));
        let last = after_failure(&error, &envelope(1), late);
        assert!(matches!(last, Verdict::Discarded { code: "attempts_exhausted", .. }), "{last:?}");
    }

    #[test]
    fn a_passing_fault_is_tried_again_until_the_attempts_are_used_up() {
        let error = JobError::retry("the store is away");
        let Verdict::Retry { after, error: text } = after_failure(&error, &envelope(3), failed(2, 1.0))
        else {
            panic!()
        };
        assert_eq!(after, Duration::from_secs(2));
        assert!(text.contains("the store is away"));
        let last = after_failure(&error, &envelope(3), failed(3, 1.0));
        let Verdict::Discarded { code, reason } = last else { panic!("{last:?}") };
        assert_eq!(code, "attempts_exhausted");
        assert!(reason.contains("attempt 3 of 3") && reason.contains("the store is away"), "{reason}");
    }

    #[test]
    fn a_rate_limit_is_waited_for_and_spread() {
        let error = JobError::retry_after(Duration::from_secs(60), "slow down");
        let Verdict::Retry { after, .. } = after_failure(&error, &envelope(3), failed(1, 0.5)) else {
            panic!()
        };
        assert!((60..=75).contains(&after.as_secs()), "{after:?}");
    }

    #[test]
    fn a_fault_that_stays_ends_the_job_and_an_interruption_costs_nothing() {
        let fail =
            after_failure(&JobError::fail("not_utf8", "save it as UTF-8"), &envelope(8), failed(1, 0.0));
        assert!(matches!(fail, Verdict::Discarded { code: "not_utf8", .. }));
        assert_eq!(after_failure(&JobError::Interrupted, &envelope(1), failed(1, 0.0)), Verdict::Released);
    }

    #[test]
    fn forged_jobs_are_put_aside_and_waiting_ones_wait() {
        let forged = [
            Refusal::Malformed,
            Refusal::UnknownKey,
            Refusal::BadSignature,
            Refusal::Altered,
            Refusal::ForeignQueue,
            Refusal::UnknownTenant,
        ];
        for refusal in forged {
            assert!(matches!(after_refusal(&refusal), Verdict::Quarantined { .. }), "{refusal}");
        }
        assert!(matches!(
            after_refusal(&Refusal::Forbidden(Permission::KbDelete)),
            Verdict::Discarded { .. }
        ));
        assert!(matches!(after_refusal(&Refusal::StaleEpoch), Verdict::Dropped { .. }));
        assert!(matches!(after_refusal(&Refusal::Expired), Verdict::Dropped { .. }));
        assert!(matches!(after_refusal(&Refusal::UnknownKb), Verdict::Dropped { .. }));
        let suspended = Refusal::TenantNotReady(TenantStatus::Suspended);
        let away = Refusal::Directory(DirectoryError("away".into()));
        for refusal in [suspended, away] {
            assert!(matches!(after_refusal(&refusal), Verdict::Parked { .. }), "{refusal}");
        }
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(shortened("é".repeat(400).as_str()).len(), REASON_MAX_BYTES);
        assert_eq!(shortened("short"), "short");
    }
}
