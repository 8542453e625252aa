//! The life of one fetched job: verify, scope the stores, run layers and handler, decide the verdict.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use jobs::JobError;
use jobs::envelope::{Refusal, SPANS, TraceParent, Verified, Verifier};
use jobs::queue::{FetchedJob, Finish, QuarantinedJob, Verdict};
use jobs::tenant::TenantId;
use stores::model::{DocumentFault, JobRecord};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::activity::Recorder;
use crate::context::{JobContext, Outputs, Shared};
use crate::history::History;
use crate::layer::{JobRequest, JobService};
use crate::registry::{Entry, OnDiscard, Registry};
use crate::retry::Failure;
use crate::{layer, metrics, retry};

/// Reason and code of a job that a user cancelled while it ran.
const CANCELLED: &str = "cancelled";

/// Code in the record of a job that was started again and found no work left.
const NOTHING_TO_DO: &str = "nothing_to_do";

/// Turns fetched bytes into a finish. It never fails: every error becomes the job's verdict.
pub(crate) struct Processor {
    pub(crate) registry: Arc<Registry>,
    pub(crate) verifier: Verifier,
    pub(crate) shared: Shared,
    pub(crate) history: History,
    pub(crate) activity: Recorder,
    pub(crate) service: JobService,
    /// As in [`Failure::wait_max`].
    pub(crate) wait_max: Duration,
}

impl Processor {
    /// Processes one job. The returned finish holds the verdict and the jobs to enqueue with it.
    pub(crate) async fn process(&self, job: FetchedJob) -> Finish {
        let started_at = self.shared.clock.now();
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let verified = match self.verifier.verify(&job.wire, &job.tenant, policy).await {
            Ok(verified) => verified,
            Err(refusal) => {
                let (code, why) = (refusal.code(), jobs::error::report(&refusal));
                tracing::warn!(tenant.id = %job.tenant, job.id = %job.id, code, "job refused: {why}");
                if matches!(refusal, Refusal::Cancelled) {
                    self.cancelled(&job).await;
                }
                if matches!(refusal, Refusal::Forbidden(_)) {
                    let why = ("quarantined", code, &*why);
                    self.discard_unrun(&job.wire, &job.tenant, |entry| entry.refused, why).await;
                }
                let verdict = retry::after_refusal(&refusal);
                metrics::refused(code, &verdict);
                return verdict.into();
            }
        };
        let Some(entry) = self.registry.entry(&verified.envelope.kind) else {
            return Verdict::Released.into();
        };
        let span = tracing::info_span!("job", tenant.id = %job.tenant, job.id = %job.id,
            job.kind = entry.policy.kind, job.attempt = job.attempts + 1,
            trace.id = %verified.envelope.meta.traceparent.trace_id());
        let attempt = attempt_span(&job, &verified, entry);
        self.run(entry, &job, verified, started_at).instrument(attempt).instrument(span).await
    }

    async fn run(
        &self,
        entry: &Entry,
        job: &FetchedJob,
        verified: Verified,
        started_at: DateTime<Utc>,
    ) -> Finish {
        let (failures, begun, policy) = (job.attempts + 1, Instant::now(), &entry.policy);
        metrics::started(policy.queue, policy.kind, waited(job, &verified, started_at));
        let attempt = self.activity.started(job, &verified.envelope, started_at);
        let trace = attempt_trace(&verified, job.redriven, runs_before(job));
        let cx = JobContext::new(&self.shared, &verified, failures, job.cancel.clone());
        let cx = Arc::new(cx.in_trace(trace).of_wire(Arc::clone(&job.wire)));
        cx.tell_state("active", None);
        let verified = Arc::new(verified);
        let request = JobRequest::new(*entry, Arc::clone(&verified), Arc::clone(&cx), job.redriven);
        let result = self.attempted(job, &cx, request).await;
        let is_users = matches!(result, Err(JobError::Unusable { .. }));
        let failure = Failure {
            failures,
            waits: job.parks,
            wait_max: self.wait_max,
            now: self.shared.clock.now(),
            random: rand::random(),
        };
        let mut finish = match result {
            Ok(outputs) => {
                let children = outputs.children.into_iter().map(Into::into).collect();
                Finish { verdict: Verdict::Completed, children, group: outputs.group }
            }
            // A cancelled job is not retried, whatever its error was.
            Err(_) if job.was_cancelled() => Verdict::Dropped { reason: CANCELLED.to_owned() }.into(),
            Err(error) => retry::after_failure(&error, &verified.envelope, failure).into(),
        };
        if let Err(error) = self.note(entry, &verified, &cx, &finish.verdict, is_users).await {
            finish = retry::after_failure(&error, &verified.envelope, failure).into();
        }
        // Before the finish, so that the history of a job is readable when the job leaves the queue.
        self.record(&verified, &cx, &finish.verdict, started_at).await;
        attempt.ended(&finish.verdict);
        tell(&cx, &finish.verdict);
        Span::current().record("job.outcome", metrics::outcome(&finish.verdict));
        metrics::finished(policy.queue, policy.kind, &finish.verdict, begun.elapsed());
        jobs::metrics::children_enqueued(&finish);
        finish
    }

    /// Runs layers and handler, and lets the catalog remember what has to survive the queue: a job that was started
    /// again before it runs, and kept children before they are enqueued.
    async fn attempted(
        &self,
        job: &FetchedJob,
        cx: &JobContext,
        request: JobRequest,
    ) -> Result<Outputs, JobError> {
        if job.redriven {
            cx.keep().await?;
        }
        layer::bounded(self.service.clone(), request).await?;
        let outputs = cx.take_outputs();
        let kept = outputs.kept();
        if !kept.is_empty() {
            cx.stores().catalog().unfinished_put(&kept, self.shared.clock.now()).await?;
        }
        Ok(outputs)
    }

    /// Logs the outcome, here and nowhere else, and runs the on-discard hook of a job that is given up.
    ///
    /// # Errors
    /// When a store that the hook needs is away: the job must not be discarded before the hook has recorded that
    /// there will be no result.
    async fn note(
        &self,
        entry: &Entry,
        verified: &Verified,
        cx: &JobContext,
        verdict: &Verdict,
        is_users: bool,
    ) -> Result<(), JobError> {
        match verdict {
            Verdict::Completed => tracing::info!("job completed"),
            Verdict::Retry { after, error } => {
                tracing::warn!(retry.after_ms = after.as_millis(), "attempt failed: {error}");
            }
            Verdict::Discarded { code, reason } => {
                // A mistake in the user's data is not an error that an operator could fix.
                if is_users {
                    tracing::info!(code, "job discarded: {reason}");
                } else {
                    tracing::error!(code, "job discarded: {reason}");
                }
                return match tidy(entry.discarded, entry, verified, cx, (code, reason)).await {
                    Err(error @ JobError::Unavailable(_)) => Err(error),
                    _ => Ok(()),
                };
            }
            Verdict::Dropped { reason } => {
                tracing::info!("job dropped: {reason}");
                let why = (CANCELLED, "the job was cancelled while it ran");
                let _ = tidy(entry.discarded, entry, verified, cx, why).await;
            }
            Verdict::Waiting { after, reason } => {
                tracing::info!(retry.after_ms = after.as_millis(), "job waits for {reason}");
            }
            Verdict::Parked { reason } => tracing::warn!("job waits: {reason}"),
            _ => tracing::info!("job given back"),
        }
        Ok(())
    }

    /// Marks the document of a cancelled job as failed, also of one that has a part in it: without that part it would
    /// fail for another reason. The API does that too, but may have stopped between the two steps.
    async fn cancelled(&self, job: &FetchedJob) {
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let verified = self.verifier.verify_without_actor(&job.wire, &job.tenant, policy).await;
        let Ok(verified) = verified else { return };
        let detail = "its job was cancelled; upload the document again, or reindex, to try again";
        let fault = DocumentFault { code: CANCELLED.to_owned(), detail: detail.to_owned() };
        let catalog = self.shared.stores.scoped(&verified.tenant).catalog();
        if let Err(error) = catalog.documents_failed(&[job.id], &fault, self.shared.clock.now()).await {
            let error = jobs::error::report(&error);
            tracing::warn!(tenant.id = %job.tenant, job.id = %job.id, error, "its document is not told");
        }
        let why = (CANCELLED, CANCELLED, detail);
        self.discard_unrun(&job.wire, &job.tenant, |entry| entry.refused, why).await;
    }

    /// Runs the on-discard hook of a job that the queue itself quarantined because its workers died, so that a
    /// document which waits for the result is marked as failed.
    pub(crate) async fn discard_quarantined(&self, job: QuarantinedJob) {
        metrics::quarantined(job.code);
        tracing::error!(tenant.id = %job.tenant, job.id = %job.id, code = job.code, "job quarantined by the queue");
        let Some(wire) = job.wire else { return };
        let reason =
            "the job was quarantined because the workers that ran it died; ask the operator to look at it";
        let why = ("quarantined", job.code, reason);
        self.discard_unrun(&wire, &job.tenant, |entry| entry.discarded, why).await;
    }

    /// Runs a hook of a job that gets no attempt. Everything but the actor is verified, who may have lost access
    /// meanwhile.
    async fn discard_unrun(
        &self,
        wire: &str,
        tenant: &TenantId,
        hook: impl FnOnce(&Entry) -> OnDiscard,
        (state, code, reason): (&str, &str, &str),
    ) {
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let Ok(verified) = self.verifier.verify_without_actor(wire, tenant, policy).await else { return };
        let Some(entry) = self.registry.entry(&verified.envelope.kind) else { return };
        let cx = JobContext::new(&self.shared, &verified, 0, CancellationToken::new());
        cx.tell_state(state, Some((code, reason)));
        let _ = tidy(hook(entry), entry, &verified, &cx, (code, reason)).await;
    }

    async fn record(
        &self,
        verified: &Verified,
        cx: &JobContext,
        verdict: &Verdict,
        started_at: DateTime<Utc>,
    ) {
        let (state, error) = match verdict {
            Verdict::Completed => {
                let nothing = cx.nothing_to_do().map(|why| (NOTHING_TO_DO.to_owned(), why.to_owned()));
                ("completed", nothing)
            }
            Verdict::Discarded { code, reason } => ("discarded", Some(((*code).to_owned(), reason.clone()))),
            Verdict::Dropped { reason } => ("cancelled", Some((CANCELLED.to_owned(), reason.clone()))),
            _ => return,
        };
        let envelope = &verified.envelope;
        let record = JobRecord {
            id: envelope.id,
            kind: envelope.kind.clone(),
            kb: verified.tenant.kb_id().cloned(),
            parent: envelope.meta.parent,
            batch: envelope.meta.batch,
            trace_id: Some(envelope.meta.traceparent.trace_id().to_owned()),
            queue: envelope.queue.clone(),
            state: state.to_owned(),
            attempts: cx.attempt(),
            error,
            created_at: envelope.meta.created_at,
            started_at: Some(started_at),
            finished_at: self.shared.clock.now(),
        };
        self.history.record(verified.tenant.clone(), record).await;
    }
}

/// Tells listeners how an attempt ended.
fn tell(cx: &JobContext, verdict: &Verdict) {
    match verdict {
        Verdict::Completed => cx.tell_state("completed", None),
        Verdict::Retry { error, .. } => cx.tell_state("retryable", Some(("attempt_failed", error))),
        Verdict::Discarded { code, reason } => cx.tell_state("discarded", Some((code, reason))),
        Verdict::Dropped { reason } => cx.tell_state("cancelled", Some((CANCELLED, reason))),
        Verdict::Waiting { reason, .. } => cx.tell_state("retryable", Some(("waits", reason))),
        Verdict::Parked { reason } => cx.tell_state("parked", Some(("parked", reason))),
        _ => cx.tell_state("available", None),
    }
}

/// How often the job ran before, however that ended.
fn runs_before(job: &FetchedJob) -> u32 {
    job.attempts + job.deaths + job.interruptions + job.parks
}

/// The span of one run of a job, the same for every worker that asks, so that the next run can name it.
fn attempt_trace(verified: &Verified, redriven: bool, number: u32) -> TraceParent {
    let envelope = &verified.envelope;
    envelope.meta.traceparent.derived(&format!("{}/{redriven}/{number}", envelope.id))
}

/// The span of this run: a child of the span that made the job, linked with the run before.
fn attempt_span(job: &FetchedJob, verified: &Verified, entry: &Entry) -> Span {
    let made = &verified.envelope.meta.traceparent;
    if !made.is_sampled() {
        return Span::none();
    }
    let number = runs_before(job);
    let before = number.checked_sub(1).map(|before| attempt_trace(verified, job.redriven, before));
    let due = verified.envelope.scheduled_at.unwrap_or(verified.envelope.meta.created_at);
    tracing::trace_span!(
        target: SPANS,
        "process",
        trace.id = made.trace_id(),
        trace.span = attempt_trace(verified, job.redriven, number).span_id(),
        trace.parent = made.span_id(),
        trace.link = before.as_ref().map(TraceParent::span_id),
        tenant.id = %job.tenant,
        job.id = %job.id,
        job.kind = entry.policy.kind,
        job.queue = entry.policy.queue,
        job.attempt = job.attempts + 1,
        job.outcome = tracing::field::Empty,
        trace.waits_since_us = (number == 0).then(|| due.timestamp_micros()),
    )
}

/// From when a job was due to now; `None` for any but the first attempt, for which the queue keeps no time.
fn waited(job: &FetchedJob, verified: &Verified, now: DateTime<Utc>) -> Option<Duration> {
    if runs_before(job) > 0 || job.redriven {
        return None;
    }
    let envelope = &verified.envelope;
    let made_at = envelope.meta.created_at;
    (now - envelope.scheduled_at.map_or(made_at, |at| at.max(made_at))).to_std().ok()
}

/// Runs a hook, bounded by the timeout of the job type. A failure is logged and returned.
async fn tidy(
    hook: OnDiscard,
    entry: &Entry,
    verified: &Verified,
    cx: &JobContext,
    (code, reason): (&str, &str),
) -> Result<(), JobError> {
    let tidy = AssertUnwindSafe(hook(&verified.envelope, cx, code, reason)).catch_unwind();
    let limit = entry.policy.timeout;
    let error = match tokio::time::timeout(limit, tidy).await {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(error))) => error,
        Ok(Err(_)) => JobError::retry("it panicked"),
        Err(_) => JobError::retry(format!("no result after {limit:?}")),
    };
    tracing::error!("tidying up failed: {}", jobs::error::report(&error));
    Err(error)
}
