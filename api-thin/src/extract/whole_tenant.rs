use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::Job;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::tenant::{KbId, TenantContext, TenantId};
use stores::TenantStores;

use super::admission::{Admission, admit, admit_operator, check_tenant, identify, operator_context};
use super::caller::Caller;
use super::named::named_tenant;
use super::need::{ManageJobs, ManageTenant, Need};
use super::request_trace::RequestTrace;
use crate::auth::Principal;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// A [`Caller`] whose credentials reach the whole tenant, for what concerns all of its knowledge bases.
pub struct TenantCaller<N: Need>(pub Caller<N>);

impl<N: Need> FromRequestParts<ApiState> for TenantCaller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        check_reach(caller.only_kb.as_ref())?;
        Ok(Self(caller))
    }
}

fn check_reach(only_kb: Option<&KbId>) -> Result<(), Problem> {
    if only_kb.is_some() {
        let detail = "these credentials reach one knowledge base, and this concerns the whole tenant";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(())
}

/// The operator, about one tenant.
pub struct TenantOperator {
    /// The authority to manage the tenant.
    pub context: TenantContext,
    /// The tenant's stores.
    pub stores: TenantStores,
    trace: RequestTrace,
}

impl TenantOperator {
    /// Stamps a job for the tenant under `epoch`, in the trace of the request.
    ///
    /// # Errors
    /// When the operator may not ask for such a job.
    pub fn stamp_under<J: Job>(
        &self,
        app: &ApiState,
        epoch: u64,
        job: &J,
        options: EnqueueOptions,
    ) -> Result<StampedJob, Problem> {
        let context = operator_context(self.context.tenant_id().clone(), epoch);
        self.trace.stamp(app, &context, options, job)
    }
}

impl FromRequestParts<ApiState> for TenantOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let principal = identify(parts, app).await?;
        let named = named_tenant(parts, app).await?;
        if let Principal::Member(member) = principal {
            check_tenant(app, &member, named.as_deref())?;
            return Err(Problem::new(Code::Forbidden, "only the operator's key may do this"));
        }
        let Admission { context, .. } = admit_operator(app, named, ManageTenant::PERMISSION).await?;
        Ok(Self { stores: app.stores().scoped(&context), context, trace: RequestTrace::of(parts) })
    }
}

/// Whose queue a request is about.
pub enum QueueOwner {
    /// That of all tenants: the operator asks, and names none.
    Everybody,
    /// That of one tenant, for a caller who may manage its jobs.
    Tenant(TenantId, TenantStores),
}

impl FromRequestParts<ApiState> for QueueOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let principal = identify(parts, app).await?;
        let tenant = named_tenant(parts, app).await?;
        let is_operator = match &principal {
            Principal::Operator => true,
            Principal::SuperAdmin(who) => who.member.is_none(),
            Principal::Member(_) => false,
        };
        if is_operator && tenant.is_none() {
            return Ok(Self::Everybody);
        }
        let Admission { context, only_kb, .. } =
            admit(parts, app, (principal, tenant), ManageJobs::PERMISSION).await?;
        check_reach(only_kb.as_ref())?;
        Ok(Self::Tenant(context.tenant_id().clone(), app.stores().scoped(&context)))
    }
}
