use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::tenant::{TenantContext, TenantId};
use jobs::{Job, JobId};

use super::admission::operator_context;
use super::request_trace::RequestTrace;
use crate::accounts::{ClientAddress, Switch};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// The authority to bring tenants into being: the operator's, and that of a sign-up where those are allowed.
pub struct TenantMaker {
    trace: RequestTrace,
}

impl TenantMaker {
    pub(super) fn of(parts: &Parts) -> Self {
        Self { trace: RequestTrace::of(parts) }
    }

    /// That of the installation itself, where its settings say that a tenant comes into being.
    pub(crate) fn of_installation() -> Self {
        Self { trace: RequestTrace::default() }
    }

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
        let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
        self.trace.stamp(app, context, options, job)
    }
}

/// Anybody, where anybody may sign up.
pub struct SignUpCaller {
    /// The authority to make one tenant.
    pub maker: TenantMaker,
    /// Where the request comes from.
    pub from: ClientAddress,
}

impl FromRequestParts<ApiState> for SignUpCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        if app.accounts().rules().sign_up == Switch::Off {
            return Err(Problem::new(Code::UnknownRoute, "nobody can sign up here: ask the operator"));
        }
        let Ok(from) = ClientAddress::from_request_parts(parts, app).await;
        Ok(Self { maker: TenantMaker::of(parts), from })
    }
}
