use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::envelope::{EnqueueOptions, StampedJob, TraceParent};
use jobs::tenant::{TenantContext, TenantId};
use jobs::{Job, JobId};

use super::admission::{identify, named_tenant, operator_context};
use super::caller::trace_of;
use crate::auth::Identity;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// Whoever runs the installation.
pub struct OperatorCaller {
    /// The tenant that the headers name, if they name one.
    pub named_tenant: Option<String>,
    trace: Option<TraceParent>,
}

impl OperatorCaller {
    /// The authority to bring `tenant` into being.
    #[must_use]
    pub fn context_for_new(&self, tenant: TenantId) -> TenantContext {
        operator_context(tenant, 0)
    }

    /// Stamps a job for the tenant of `context`, in the trace of the request.
    ///
    /// # Errors
    /// When the operator may not ask for such a job.
    pub fn stamp<J: Job>(
        &self,
        app: &ApiState,
        context: &TenantContext,
        id: JobId,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions { id: Some(id), traceparent: self.trace, ..EnqueueOptions::default() };
        Ok(app.stamper().stamp(context, job, options)?)
    }
}

impl FromRequestParts<ApiState> for OperatorCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        match identify(parts, app).await? {
            Identity::Operator => {
                Ok(Self { named_tenant: named_tenant(parts).await?, trace: trace_of(parts) })
            }
            Identity::Member(_) => Err(Problem::new(Code::Forbidden, "only the operator's key may do this")),
        }
    }
}
