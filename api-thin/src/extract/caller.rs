use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::tenant::{KbId, Permissions, TenantContext, TenantId};
use jobs::{Job, JobId};
use stores::TenantStores;
use stores::model::Kb;

use super::admission::{Admission, admit, identify, schedule_context};
use super::incoming::Uploader;
use super::named::named_tenant;
use super::need::Need;
use super::request_trace::RequestTrace;
use crate::problem::Problem;
use crate::server::ApiState;

/// Whoever asks, let in with the permission that `N` names, and the stores of their tenant.
pub struct Caller<N: Need> {
    /// The authority to act.
    pub context: TenantContext,
    /// The tenant's stores.
    pub stores: TenantStores,
    /// The knowledge base that the request names, if it names one.
    pub kb: Option<Kb>,
    /// The only knowledge base that the credentials reach, if they are limited to one.
    pub only_kb: Option<KbId>,
    /// Whether they may do what the operator may, whatever they are in the tenant.
    pub is_operator: bool,
    trace: RequestTrace,
    need: PhantomData<N>,
}

impl<N: Need> Caller<N> {
    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.context.tenant_id()
    }

    /// Whether the credentials reach what belongs to the knowledge base `kb`, or to none of them.
    #[must_use]
    pub fn reaches(&self, kb: Option<&KbId>) -> bool {
        self.only_kb.as_ref().is_none_or(|only| kb == Some(only))
    }

    /// Checks that the caller may let somebody have `permissions`: only those that the caller has.
    ///
    /// # Errors
    /// When the caller lacks one of them; the problem names it.
    pub fn may_give(&self, permissions: Permissions) -> Result<(), Problem> {
        self.context
            .permissions()
            .lacking(permissions)
            .map_or(Ok(()), |lacking| Err(Problem::forbidden(lacking)))
    }

    /// Stamps a job for the tenant, in the trace of the request.
    ///
    /// # Errors
    /// When the caller may not ask for such a job.
    pub fn stamp<J: Job>(&self, app: &ApiState, id: JobId, job: &J) -> Result<StampedJob, Problem> {
        self.stamp_as(app, &self.context, id, job)
    }

    /// Stamps the template of the caller's schedule called `name`.
    ///
    /// # Errors
    /// When the caller may not ask for such a job.
    pub fn stamp_for_schedule<J: Job>(
        &self,
        app: &ApiState,
        name: &str,
        id: JobId,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        self.stamp_as(app, &schedule_context(&self.context, name), id, job)
    }

    fn stamp_as<J: Job>(
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

impl<N: Need> FromRequestParts<ApiState> for Caller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let who = (identify(parts, app).await?, named_tenant(parts, app).await?);
        let Admission { context, kb, only_kb, is_operator } = admit(parts, app, who, N::PERMISSION).await?;
        let stores = app.stores().scoped(&context);
        parts.extensions.insert(Uploader(context.tenant_id().clone()));
        Ok(Self {
            context,
            stores,
            kb,
            only_kb,
            is_operator,
            trace: RequestTrace::of(parts),
            need: PhantomData,
        })
    }
}

/// A [`Caller`] whose request names a knowledge base.
pub struct KbCaller<N: Need> {
    /// Who asks.
    pub caller: Caller<N>,
    /// The knowledge base.
    pub kb: Kb,
}

impl<N: Need> FromRequestParts<ApiState> for KbCaller<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let mut caller = Caller::from_request_parts(parts, app).await?;
        let kb = caller.kb.take().ok_or_else(Problem::not_found)?;
        Ok(Self { caller, kb })
    }
}
