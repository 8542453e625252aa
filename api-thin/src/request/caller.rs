use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::envelope::{EnqueueOptions, StampedJob};
use jobs::tenant::{Identity, KbId, Permission, Permissions, TenantContext, TenantId};
use jobs::{Job, JobId};
use stores::TenantStores;
use stores::model::Kb;

use super::authorize::{
    Admission, admit, admit_operator, check_tenant, identify, operator_context, person, schedule_context,
};
use super::body::Uploader;
use super::headers::RequestTrace;
use super::tenant_name::named_tenant;
use crate::auth::Principal;
use crate::config::Switch;
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};
use crate::state::ApiState;

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

/// The operator of the installation.
pub struct OperatorCaller {
    /// The tenant that the headers name, if they name one.
    pub named_tenant: Option<String>,
    /// The authority to make tenants.
    pub maker: TenantMaker,
}

impl FromRequestParts<ApiState> for OperatorCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        match identify(parts, app).await? {
            Principal::Operator | Principal::SuperAdmin(_) => {
                Ok(Self { named_tenant: named_tenant(parts, app).await?, maker: TenantMaker::of(parts) })
            }
            Principal::Member(_) => Err(Problem::new(Code::Forbidden, "only the operator's key may do this")),
        }
    }
}

/// A caller with good credentials, about themselves or what is the same for all: no tenant is looked at.
pub struct Somebody(pub Principal);

impl FromRequestParts<ApiState> for Somebody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        identify(parts, app).await.map(Self)
    }
}

/// A person with a good token, wherever they are a member; `None` for a request without credentials.
pub struct Person(pub Option<Identity>);

impl FromRequestParts<ApiState> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &ApiState) -> Result<Self, Problem> {
        person(parts, app).await.map(Self)
    }
}

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

/// What a route demands of its caller, as a type: `Caller<ReadDocuments>`.
pub trait Need: Send + Sync + 'static {
    /// The permission. `None`: whoever belongs to the tenant, also while it is provisioned, and the operator.
    /// The operator has `TenantManage` in every tenant.
    const PERMISSION: Option<Permission>;
}

macro_rules! needs {
    ($($name:ident = $permission:expr;)+) => {$(
        #[doc = concat!("Demands `", stringify!($permission), "`.")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Need for $name {
            const PERMISSION: Option<Permission> = $permission;
        }
    )+};
}

needs! {
    Anyone = None;
    ReadDocuments = Some(Permission::DocumentRead);
    CreateDocuments = Some(Permission::DocumentCreate);
    UpdateDocuments = Some(Permission::DocumentUpdate);
    DeleteDocuments = Some(Permission::DocumentDelete);
    CreateKbs = Some(Permission::KbCreate);
    DeleteKbs = Some(Permission::KbDelete);
    ManageJobs = Some(Permission::JobManage);
    ManageTenant = Some(Permission::TenantManage);
    ManageMembers = Some(Permission::TenantManageMembers);
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
