//! From what a handler returned to how its job ends.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use apalis_core::error::BoxDynError;
use apalis_core::task::ExecutionContext;
use apalis_core::worker::ext::ack::Acknowledge;

use super::ticket::{Ticket, TicketGuard};
use crate::envelope::{Envelope, RetryPolicy, WireEnvelope};
use crate::queue::finish::{Finish, Verdict};

/// Passes each result to the finisher. It never fails: an error would be taken for the handler's.
#[derive(Debug, Clone)]
pub struct Acker;

impl Acknowledge<Finish> for Acker {
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn ack(&mut self, result: &Result<Finish, BoxDynError>, context: &ExecutionContext) -> Self::Future {
        let Some(guard) = context.data().get::<Arc<TicketGuard>>() else {
            tracing::error!("a task did not come from the queue, its result is ignored");
            return ready(Ok(()));
        };
        guard.finish(match result {
            Ok(finish) => finish.clone(),
            Err(error) => Finish::of(failed(&guard.ticket, error.as_ref())),
        });
        ready(Ok(()))
    }
}

/// The service around the handler failed, or the handler panicked: an attempt is spent.
fn failed(ticket: &Ticket, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Verdict {
    let policy = ticket.wire.as_deref().and_then(retry_policy).unwrap_or_else(|| RetryPolicy::attempts(8));
    let failures = ticket.attempts.saturating_add(1);
    let text = crate::error::report(error);
    tracing::error!(
        tenant.id = %ticket.tenant,
        job.id = %ticket.id,
        error = text,
        failures,
        "handler broke down"
    );
    if failures >= policy.max_attempts {
        return Verdict::Discarded { code: "handler_broke_down", reason: text };
    }
    Verdict::Retry { after: policy.wait(failures, rand::random()), error: text }
}

/// Read without a check: it decides how often to try, not whether the job may run.
fn retry_policy(wire: &str) -> Option<RetryPolicy> {
    let wire: WireEnvelope = serde_json::from_str(wire).ok()?;
    let envelope: Envelope = serde_json::from_str(wire.job.get()).ok()?;
    Some(envelope.retry)
}
