//! The authenticated caller. A handler declares what it requires in the type of its first argument, so that no handler
//! can omit the check:
//!
//! | type | admits |
//! |---|---|
//! | [`Caller`] | a caller with a permission in a tenant; [`KbCaller`] and [`TenantCaller`] also check the reach |
//! | [`TenantOperator`] | the operator, about one tenant |
//! | [`OperatorCaller`] | the operator, about the installation |
//! | [`TenantLister`] | the operator, and where the settings say so everybody |
//! | [`MetricsReader`] | the operator, and the holder of the token for metrics |
//! | [`AuthenticatedCaller`] | a caller with valid credentials; no tenant is looked up |
//!
//! [`Person`] and [`SignUpCaller`] belong to the two routes that requests without credentials may use.

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::plan::Limits as TenantLimits;
use jobs::tenant::{Actor, Identity, KbId, Permission, Permissions, TenantContext, TenantId};
use jobs::types::{DeliverWebhook, IngestDocument};
use jobs::webhook::{EventId, WebhookId};
use jobs::{BatchId, Job, JobId, Lane};
use stores::TenantStores;
use stores::model::Kb;

use super::authorize::{
    Authorization, Demand, authorize, authorize_operator, check_metrics_reader, check_tenant,
    has_credentials, identify, person,
};
use super::body::Uploader;
use super::headers::request_trace;
use super::tenant_name::named_tenant;
use crate::audit::AuditSlot;
use crate::auth::Principal;
use crate::authority::{RequestTrace, TenantMaker, operator_context, schedule_context, webhook_context};
use crate::config::Switch;
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};
use crate::rate_limit::KnownRoom;
use crate::state::ApiState;

/// The permission that a route demands of its caller, as a type: `Caller<ReadDocuments>`.
pub trait RequiredPermission: Send + Sync + 'static {
    /// The permission. `None`: every member of the tenant, also while it is provisioned, and the operator.
    const PERMISSION: Option<Permission>;
    /// The queue of the jobs that such a request causes, where its room is asked with the rate: one call less. `None`
    /// for all others, which ask when they have made their jobs.
    const QUEUE: Option<&'static str> = None;
    /// Whether the operator may do it too, in every tenant.
    const OPERATOR_TOO: bool = false;
}

macro_rules! or_operator {
    (operator) => {
        true
    };
}

macro_rules! required_permissions {
    ($($name:ident = $permission:expr $(, into $queue:expr)? $(, or $operator:ident)?;)+) => {$(
        #[doc = concat!("Demands `", stringify!($permission), "`.")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl RequiredPermission for $name {
            const PERMISSION: Option<Permission> = $permission;
            $(const QUEUE: Option<&'static str> = Some($queue);)?
            $(const OPERATOR_TOO: bool = or_operator!($operator);)?
        }
    )+};
}

required_permissions! {
    AnyMember = None;
    ReadDocuments = Some(Permission::DocumentRead);
    CreateDocuments = Some(Permission::DocumentCreate), into IngestDocument::QUEUE;
    UpdateDocuments = Some(Permission::DocumentUpdate);
    DeleteDocuments = Some(Permission::DocumentDelete);
    CreateKbs = Some(Permission::KbCreate);
    DeleteKbs = Some(Permission::KbDelete);
    ManageJobs = Some(Permission::JobManage);
    SteerJobs = Some(Permission::JobManage), or operator;
    ManageTenant = Some(Permission::TenantManage), or operator;
    ManageMembers = Some(Permission::TenantManageMembers);
    AddMembers = Some(Permission::TenantManageMembers), or operator;
}

/// The reach that the caller's credentials must have, as a type.
pub trait Reach: Send + Sync + 'static {
    /// The knowledge base as the handler gets it.
    type Kb: Send + Sync;

    /// Checks the named knowledge base against the only one that the credentials reach.
    ///
    /// # Errors
    /// When their reach does not suffice.
    fn check(named: Option<Kb>, only_kb: Option<&KbId>) -> Result<Self::Kb, Problem>;
}

/// What the credentials reach, be it the tenant or one of its knowledge bases. The handler asks [`Caller::reaches`].
pub struct AnyReach;

/// The knowledge base that the request names.
pub struct OneKb;

/// The whole tenant: credentials of one knowledge base are refused.
pub struct WholeTenant;

impl Reach for AnyReach {
    type Kb = ();

    fn check(_: Option<Kb>, _: Option<&KbId>) -> Result<(), Problem> {
        Ok(())
    }
}

impl Reach for OneKb {
    type Kb = Kb;

    fn check(named: Option<Kb>, _: Option<&KbId>) -> Result<Kb, Problem> {
        named.ok_or_else(|| {
            let detail = "name the knowledge base in X-KB-ID, or in the path: /kbs/{kb}/…";
            Problem::new(Code::KbRequired, detail)
        })
    }
}

impl Reach for WholeTenant {
    type Kb = ();

    fn check(_: Option<Kb>, only_kb: Option<&KbId>) -> Result<(), Problem> {
        if only_kb.is_some() {
            let detail = "these credentials reach one knowledge base, and this concerns the whole tenant";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        Ok(())
    }
}

/// A caller with the permission `P` and credentials with the reach `R`, and the stores of their tenant.
pub struct Caller<P: RequiredPermission, R: Reach = AnyReach> {
    /// The authority to act.
    pub context: TenantContext,
    /// The tenant's stores.
    pub stores: TenantStores,
    /// The knowledge base of a [`KbCaller`].
    pub kb: R::Kb,
    /// The only knowledge base that the credentials reach, if they are limited to one.
    pub only_kb: Option<KbId>,
    /// Whether they have the operator's permissions, besides those in the tenant.
    pub is_operator: bool,
    limits: Option<TenantLimits>,
    room: Option<KnownRoom>,
    trace: RequestTrace,
    demands: PhantomData<(P, R)>,
}

/// A [`Caller`] whose request names a knowledge base.
pub type KbCaller<P> = Caller<P, OneKb>;

/// A [`Caller`] about all of the tenant. `Option<TenantCaller<P>>` is `None` for an operator who names no tenant.
pub type TenantCaller<P> = Caller<P, WholeTenant>;

impl<P: RequiredPermission, R: Reach> Caller<P, R> {
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

    /// The tenant's limits, as read by the request's authorization.
    ///
    /// # Errors
    /// When the catalog does not answer; it is read here only for the operator, whose requests are not counted.
    pub async fn limits(&self, app: &ApiState) -> Result<TenantLimits, Problem> {
        match &self.limits {
            Some(limits) => Ok(limits.clone()),
            None => app.limits_of(self.tenant()).await,
        }
    }

    /// The room in the queue of the route's jobs, if it was asked with the tenant's rate.
    pub(crate) fn known_room(&self) -> Option<&KnownRoom> {
        self.room.as_ref()
    }

    /// Checks that the caller may grant `permissions`: only permissions that the caller has.
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

    /// As [`Caller::stamp`], for work on a document of `batch` in `lane`.
    ///
    /// # Errors
    /// As there.
    pub fn stamp_in<J: Job>(
        &self,
        app: &ApiState,
        id: JobId,
        (batch, lane): (BatchId, Lane),
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions {
            id: Some(id),
            batch: Some(batch),
            lane: Some(lane),
            ..EnqueueOptions::default()
        };
        self.trace.stamp(app.stamper(), &self.context, options, job)
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

    /// Stamps the template of the caller's tenant's endpoint `id`. Each of its deliveries is a job of its own with the
    /// same authority.
    ///
    /// # Errors
    /// When the template cannot be stamped.
    pub fn stamp_for_webhook(&self, app: &ApiState, id: &WebhookId) -> Result<StampedJob, Problem> {
        let now = app.clock().now();
        let template = DeliverWebhook { webhook_id: id.clone(), event_id: EventId::generate(now) };
        self.stamp_as(app, &webhook_context(&self.context, id), JobId::generate(now), &template)
    }

    fn stamp_as<J: Job>(
        &self,
        app: &ApiState,
        context: &TenantContext,
        id: JobId,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
        self.trace.stamp(app.stamper(), context, options, job)
    }

    async fn authorized(
        parts: &mut Parts,
        app: &ApiState,
        who: (Principal, Option<String>),
    ) -> Result<Self, Problem> {
        let actor = who.0.actor();
        let demand = Demand::of::<P>();
        let authorization = authorize(parts, app, who, demand).await?;
        let Authorization { context, kb, only_kb, is_operator, limits, room } = authorization;
        let kb = R::check(kb, only_kb.as_ref())?;
        let stores = app.stores().scoped(&context);
        let tenant = (context.tenant_id().clone(), stores.clone());
        AuditSlot::note(&parts.extensions, actor, Some(tenant));
        parts.extensions.insert(Uploader(context.tenant_id().clone()));
        let trace = request_trace(parts);
        Ok(Self { context, stores, kb, only_kb, is_operator, limits, room, trace, demands: PhantomData })
    }
}

impl<P: RequiredPermission, R: Reach> FromRequestParts<ApiState> for Caller<P, R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let who = (identify(parts, app).await?, named_tenant(parts, app).await?);
        Self::authorized(parts, app, who).await
    }
}

/// What a request was authorized by, to check again while it is answered for longer.
pub struct Standing<P: RequiredPermission, R: Reach = AnyReach> {
    parts: Parts,
    demands: PhantomData<(P, R)>,
}

impl<P: RequiredPermission, R: Reach> Standing<P, R> {
    /// Checks that the credentials are still good, and still allow the request. It is not counted once more.
    ///
    /// # Errors
    /// When a new request would be refused, or it cannot be said.
    pub async fn check(&self, app: &ApiState) -> Result<(), Problem> {
        let mut parts = self.parts.clone();
        let who = (identify(&parts, app).await?, named_tenant(&mut parts, app).await?);
        let demand = Demand { queue: None, counts: false, ..Demand::of::<P>() };
        let Authorization { kb, only_kb, .. } = authorize(&mut parts, app, who, demand).await?;
        R::check(kb, only_kb.as_ref()).map(drop)
    }
}

/// Taken beside a [`Caller`] with the same demands, which checks them.
impl<P: RequiredPermission, R: Reach> FromRequestParts<ApiState> for Standing<P, R> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Infallible> {
        Ok(Self { parts: parts.clone(), demands: PhantomData })
    }
}

impl<P: RequiredPermission, R: Reach> OptionalFromRequestParts<ApiState> for Caller<P, R> {
    type Rejection = Problem;

    /// `None` for an operator who names no tenant: the request concerns all tenants.
    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Option<Self>, Problem> {
        let (principal, tenant) = (identify(parts, app).await?, named_tenant(parts, app).await?);
        let is_operator = match &principal {
            Principal::Operator => true,
            Principal::SuperAdmin(who) => who.member.is_none(),
            Principal::Member(_) => false,
        };
        if is_operator && tenant.is_none() {
            AuditSlot::note(&parts.extensions, principal.actor(), None);
            return Ok(None);
        }
        Self::authorized(parts, app, (principal, tenant)).await.map(Some)
    }
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
        self.trace.stamp(app.stamper(), &context, options, job)
    }
}

impl FromRequestParts<ApiState> for TenantOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let principal = identify(parts, app).await?;
        let named = named_tenant(parts, app).await?;
        if let Principal::Member(member) = &principal {
            check_tenant(app, member, named.as_deref())?;
            return Err(Problem::new(Code::Forbidden, "only the operator's key may do this"));
        }
        let Authorization { context, .. } =
            authorize_operator(app, named, Demand::of::<ManageTenant>()).await?;
        let stores = app.stores().scoped(&context);
        let tenant = (context.tenant_id().clone(), stores.clone());
        AuditSlot::note(&parts.extensions, principal.actor(), Some(tenant));
        Ok(Self { stores, context, trace: request_trace(parts) })
    }
}

/// The operator of the installation.
pub struct OperatorCaller {
    /// The tenant that the headers name, if they name one.
    pub named_tenant: Option<String>,
    /// Who that is.
    pub by: Actor,
    /// The authority to create tenants.
    pub maker: TenantMaker,
}

impl FromRequestParts<ApiState> for OperatorCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        let principal = identify(parts, app).await?;
        if !principal.is_operator() {
            return Err(Problem::new(Code::Forbidden, "only the operator's key may do this"));
        }
        let named_tenant = named_tenant(parts, app).await?;
        let by = principal.actor();
        AuditSlot::note(&parts.extensions, by.clone(), None);
        Ok(Self { named_tenant, by, maker: TenantMaker::of_request(request_trace(parts)) })
    }
}

/// A caller who lists tenants: the operator, or, where the settings let everybody choose a tenant, any other.
pub enum TenantLister {
    /// The operator of the installation.
    Operator,
    /// Who sees only how active tenants are called.
    Public(ClientAddress),
}

impl FromRequestParts<ApiState> for TenantLister {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        if app.accounts().rules().public_tenants == Switch::On {
            let is_operator = has_credentials(parts)? && identify(parts, app).await?.is_operator();
            if !is_operator {
                let Ok(from) = ClientAddress::from_request_parts(parts, app).await;
                return Ok(Self::Public(from));
            }
        }
        OperatorCaller::from_request_parts(parts, app).await.map(|_| Self::Operator)
    }
}

/// A caller who may read metrics. They name tenants, so tenants themselves may not.
pub struct MetricsReader;

impl FromRequestParts<ApiState> for MetricsReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        check_metrics_reader(parts, app).await.map(|()| Self)
    }
}

/// A caller with valid credentials, for requests about themselves or about data that all callers share: no tenant is
/// looked up.
pub struct AuthenticatedCaller(pub Principal);

impl FromRequestParts<ApiState> for AuthenticatedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        identify(parts, app).await.map(Self)
    }
}

/// A person with a valid token, wherever they are a member; `None` for a request without credentials.
pub struct Person(pub Option<Identity>);

impl FromRequestParts<ApiState> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        person(parts, app).await.map(Self)
    }
}

/// A caller without credentials, where the installation lets people sign up.
pub struct SignUpCaller {
    /// The authority to create one tenant.
    pub maker: TenantMaker,
    /// The address of the client.
    pub from: ClientAddress,
}

impl FromRequestParts<ApiState> for SignUpCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        if app.accounts().rules().sign_up == Switch::Off {
            return Err(Problem::new(Code::UnknownRoute, "sign-up is off here: ask the operator"));
        }
        let Ok(from) = ClientAddress::from_request_parts(parts, app).await;
        Ok(Self { maker: TenantMaker::of_request(request_trace(parts)), from })
    }
}

#[cfg(test)]
mod tests {
    use jobs::tenant::{Permission, Role};

    fn table() -> String {
        let roles = Role::ALL.map(|role| format!(" `{role}` |")).concat();
        let mut lines =
            vec![format!("| permission |{roles}"), format!("|---|{}", "---|".repeat(Role::ALL.len()))];
        for permission in Permission::ALL {
            let may = |role: Role| if role.permissions().contains(*permission) { " yes |" } else { " |" };
            lines.push(format!("| `{permission}` |{}", Role::ALL.map(may).concat()));
        }
        lines.join("\n")
    }

    #[test]
    fn the_readme_says_what_each_role_may_do() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table()), "put this table into api-thin/README.md:\n{}", table());
    }
}
