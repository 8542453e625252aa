//! The life of one fetched job: verify, scope the stores, run layers and handler, decide the verdict.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use jobs::JobError;
use jobs::envelope::{Refusal, Verified, Verifier};
use jobs::queue::{FetchedJob, Finish, QuarantinedJob, Verdict};
use jobs::tenant::TenantId;
use stores::model::{DocumentFault, JobRecord};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::context::{JobContext, Shared};
use crate::history::History;
use crate::layer::{JobRequest, JobService};
use crate::registry::{Entry, OnDiscard, Registry};
use crate::retry::Failure;
use crate::{layer, retry};

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
    pub(crate) service: JobService,
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
                    self.discard_unrun(&job.wire, &job.tenant, |entry| entry.refused, (code, &why)).await;
                }
                return retry::after_refusal(&refusal).into();
            }
        };
        let Some(entry) = self.registry.entry(&verified.envelope.kind) else {
            return Verdict::Released.into();
        };
        let span = tracing::info_span!("job", tenant.id = %job.tenant, job.id = %job.id,
            job.kind = entry.policy.kind, job.attempt = job.attempts + 1,
            trace.id = %verified.envelope.meta.traceparent.trace_id());
        self.run(entry, &job, verified, started_at).instrument(span).await
    }

    async fn run(
        &self,
        entry: &Entry,
        job: &FetchedJob,
        verified: Verified,
        started_at: DateTime<Utc>,
    ) -> Finish {
        let failures = job.attempts + 1;
        let cx = Arc::new(JobContext::new(&self.shared, &verified, failures, job.cancel.clone()));
        cx.tell_state("active", None);
        let verified = Arc::new(verified);
        let request = JobRequest::new(*entry, Arc::clone(&verified), Arc::clone(&cx), job.redriven);
        let result = layer::bounded(self.service.clone(), request).await;
        let is_users = matches!(result, Err(JobError::Unusable { .. }));
        let failure = Failure { failures, now: self.shared.clock.now(), random: rand::random() };
        let mut finish = match result {
            Ok(()) => {
                let outputs = cx.take_outputs();
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
        tell(&cx, &finish.verdict);
        finish
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
            Verdict::Parked { reason } => tracing::warn!("job waits: {reason}"),
            _ => tracing::info!("job given back"),
        }
        Ok(())
    }

    /// Marks the document of a cancelled job as failed. The API does that too, but may have stopped between the two
    /// steps.
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
    }

    /// Runs the on-discard hook of a job that the queue itself quarantined because its workers died, so that a
    /// document which waits for the result is marked as failed.
    pub(crate) async fn discard_quarantined(&self, job: QuarantinedJob) {
        tracing::error!(tenant.id = %job.tenant, job.id = %job.id, code = job.code, "job quarantined by the queue");
        let Some(wire) = job.wire else { return };
        let reason =
            "the job was quarantined because the workers that ran it died; ask the operator to look at it";
        self.discard_unrun(&wire, &job.tenant, |entry| entry.discarded, (job.code, reason)).await;
    }

    /// Runs a hook of a job that gets no attempt. Everything but the actor is verified, who may have lost access
    /// meanwhile.
    async fn discard_unrun(
        &self,
        wire: &str,
        tenant: &TenantId,
        hook: impl FnOnce(&Entry) -> OnDiscard,
        (code, reason): (&str, &str),
    ) {
        let policy = |kind: &str, version| self.registry.policy(kind, version);
        let Ok(verified) = self.verifier.verify_without_actor(wire, tenant, policy).await else { return };
        let Some(entry) = self.registry.entry(&verified.envelope.kind) else { return };
        let cx = JobContext::new(&self.shared, &verified, 0, CancellationToken::new());
        cx.tell_state("quarantined", Some((code, reason)));
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
        Verdict::Parked { reason } => cx.tell_state("parked", Some(("parked", reason))),
        _ => cx.tell_state("available", None),
    }
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
