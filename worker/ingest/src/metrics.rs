//! Calls of models, through the facade [`metrics`].

use std::time::Duration;

use jobs::envelope::SPANS;
use metrics::{counter, describe_counter, describe_histogram, histogram};
use tracing::Span;

use crate::extract::ExtractError;

const CALLS: &str = "tenantry_model_calls_total";
const SECONDS: &str = "tenantry_model_call_seconds";
const TOKENS: &str = "tenantry_model_tokens_total";

/// Tells the recorder what the metrics of this crate mean.
pub fn describe() {
    describe_counter!(CALLS, "Calls of a language model, by outcome.");
    describe_histogram!(SECONDS, "How long a call of a language model took.");
    describe_counter!(TOKENS, "Tokens that the model says it read and wrote.");
}

/// Begins the counters at 0, so that the first of something is an increase too.
pub(crate) fn begin() {
    for outcome in ["ok", "rate_limited", "retry", "failed"] {
        counter!(CALLS, "outcome" => outcome).increment(0);
    }
}

/// The span of a call, in the trace of the job.
pub(crate) fn call_span() -> Span {
    tracing::trace_span!(target: SPANS, "call", gen_ai.operation.name = "chat")
}

/// Records a call of a model.
pub(crate) fn called<T>(answer: &Result<T, ExtractError>, took: Duration) {
    let outcome = match answer {
        Ok(_) => "ok",
        Err(ExtractError::Busy { code: "rate_limited", .. }) => "rate_limited",
        Err(ExtractError::Busy { .. } | ExtractError::Retry { .. }) => "retry",
        Err(_) => "failed",
    };
    counter!(CALLS, "outcome" => outcome).increment(1);
    histogram!(SECONDS).record(took);
}

/// Records the tokens of a call, where the answer says them.
pub(crate) fn tokens(read: u64, written: u64) {
    counter!(TOKENS, "direction" => "read").increment(read);
    counter!(TOKENS, "direction" => "written").increment(written);
}
