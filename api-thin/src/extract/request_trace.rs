use axum::http::request::Parts;
use jobs::Job;
use jobs::envelope::{EnqueueOptions, StampedJob, TraceParent};
use jobs::tenant::TenantContext;

use crate::problem::Problem;
use crate::server::ApiState;

/// The trace that the jobs of a request continue; a new one for each without it. One that cannot be read is no trace
/// (W3C Trace Context, 3.2.2).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RequestTrace(Option<TraceParent>);

impl RequestTrace {
    pub(super) fn of(parts: &Parts) -> Self {
        let header = parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
        Self(header.and_then(|text| text.parse().ok()))
    }

    /// Stamps a job for the tenant of `context`.
    pub(super) fn stamp<J: Job>(
        self,
        app: &ApiState,
        context: &TenantContext,
        options: EnqueueOptions,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions { traceparent: self.0, ..options };
        Ok(app.stamper().stamp(context, job, options)?)
    }
}
