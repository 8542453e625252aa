//! The one way from a request to a [`TenantContext`]: credentials, names, tenant, state, quota, permission, knowledge
//! base, in that order (see [`authorize_member`]). What the caller may not know about is the same 404.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use jobs::plan::Limits as TenantLimits;
use jobs::tenant::{
    Actor, Identity, KbId, Permission, Permissions, TenantContext, TenantId, TenantRecord, TenantStatus,
};
use stores::model::Kb;

use super::caller::RequiredPermission;
use super::tenant_name::named_kb;
use crate::accept::create_by_settings;
use crate::auth::{AuthError, Member, Presented, Principal, SuperAdmin, Unreadable, UnverifiedToken};
use crate::authority::{member_context, operator_context};
use crate::connections::OpenRequest;
use crate::problem::{Code, Problem};
use crate::rate_limit::KnownRoom;
use crate::state::ApiState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The result of authorizing a request.
pub(super) struct Authorization {
    pub(super) context: TenantContext,
    /// The knowledge base that the request names.
    pub(super) kb: Option<Kb>,
    /// The only knowledge base that the credentials reach.
    pub(super) only_kb: Option<KbId>,
    /// Whether the caller has the operator's permissions, besides those in the tenant.
    pub(super) is_operator: bool,
    /// The tenant's limits; `None` for the operator, whose requests are not counted.
    pub(super) limits: Option<TenantLimits>,
    /// The room in the queue that the route's jobs wait in, if it was asked with the rate.
    pub(super) room: Option<KnownRoom>,
}

/// What a route demands of its caller, and what is asked about its jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// `None`: every member of the tenant, and the operator.
    pub(super) permission: Option<Permission>,
    /// Whether the operator may do it too.
    pub(super) operator_too: bool,
    /// The queue of its jobs.
    pub(super) queue: Option<&'static str>,
    /// Whether the request counts. One that is checked again does not.
    pub(super) counts: bool,
}

impl Demand {
    pub(super) const fn of<P: RequiredPermission>() -> Self {
        Self {
            permission: P::PERMISSION,
            operator_too: P::PERMISSION.is_none() || P::OPERATOR_TOO,
            queue: P::QUEUE,
            counts: true,
        }
    }
}

/// Checks the credentials of a request. Where they are good its connection stays open, and its body may be larger.
pub(super) async fn identify(parts: &Parts, app: &ApiState) -> Result<Principal, Problem> {
    let identity = check_credentials(parts, app).await?;
    if let Some(open) = parts.extensions.get::<Arc<OpenRequest>>() {
        open.authenticated();
    }
    Ok(identity)
}

async fn check_credentials(parts: &Parts, app: &ApiState) -> Result<Principal, Problem> {
    let presented = match presented(parts)? {
        Ok(presented) => presented,
        Err(error) => {
            let anonymous = anonymous(app).filter(|_| error == Unreadable::Missing);
            return anonymous.ok_or_else(|| Problem::new(Code::CredentialsMissing, error.to_string()));
        }
    };
    app.authenticator().identify(&presented).await.map_err(problem_of)
}

/// Checks that the caller may read metrics: with the token for that, or as the operator.
pub(super) async fn check_metrics_reader(parts: &Parts, app: &ApiState) -> Result<(), Problem> {
    let is_reader = match presented(parts)? {
        Ok(Presented::Other(given)) => app.metrics().is_reader(&given),
        Ok(Presented::Token(given)) => app.metrics().is_reader(&given.into()),
        Ok(Presented::ApiKey(_)) | Err(_) => false,
    };
    if !is_reader {
        if !identify(parts, app).await?.is_operator() {
            return Err(Problem::new(
                Code::Forbidden,
                "only TENANTRY_METRICS_TOKEN or the operator's key may do this",
            ));
        }
    } else if let Some(open) = parts.extensions.get::<Arc<OpenRequest>>() {
        open.authenticated();
    }
    Ok(())
}

/// The person of the request's token; `None` without credentials.
pub(super) async fn person(parts: &Parts, app: &ApiState) -> Result<Option<Identity>, Problem> {
    let presented = match presented(parts)? {
        Ok(presented) => presented,
        Err(Unreadable::Missing) => return Ok(None),
        Err(error) => return Err(Problem::new(Code::CredentialsMissing, error.to_string())),
    };
    match app.authenticator().identity(&presented).await.map_err(problem_of)? {
        Some(identity) => Ok(Some(identity)),
        None => Err(Problem::new(Code::Forbidden, "only a person can do this: send the token of one")),
    }
}

fn presented(parts: &Parts) -> Result<Result<Presented, Unreadable>, Problem> {
    let authorization = only(&parts.headers, &header::AUTHORIZATION)?;
    let api_key = only(&parts.headers, &API_KEY)?;
    Ok(Presented::from_headers(authorization, api_key))
}

/// Whether the request has credentials, good ones or not.
pub(super) fn has_credentials(parts: &Parts) -> Result<bool, Problem> {
    Ok(!matches!(presented(parts)?, Err(Unreadable::Missing)))
}

/// The caller without credentials, in an installation that asks for none.
fn anonymous(app: &ApiState) -> Option<Principal> {
    let tenant = app.resolution().only_tenant.clone().filter(|_| app.resolution().anonymous)?;
    Some(Principal::Member(Member::anonymous(tenant)))
}

/// Authorizes a caller for a route: the authenticated principal, and the tenant that the request names.
pub(super) async fn authorize(
    parts: &mut Parts,
    app: &ApiState,
    (principal, tenant): (Principal, Option<String>),
    demand: Demand,
) -> Result<Authorization, Problem> {
    let kb = named_kb(parts).await?;
    let is_operator = principal.is_operator();
    let authorization = match principal {
        Principal::Member(member) => authorize_member(parts, app, member, (tenant, kb), demand).await,
        Principal::SuperAdmin(SuperAdmin { member: Some(member), .. })
            if tenant.as_ref().is_none_or(|named| named == member.tenant.as_str()) =>
        {
            let own = member.tenant.clone();
            match authorize_member(parts, app, member, (tenant, kb), demand).await {
                // Only the operator can resume a suspended tenant, so a super-admin must still see it. And what the
                // operator may do, a super-admin may too, whose role in this tenant allows less.
                Err(problem)
                    if problem.code() == Code::TenantSuspended
                        || (problem.code() == Code::Forbidden
                            && demand.permission.is_some()
                            && demand.operator_too) =>
                {
                    authorize_operator(app, Some(own.as_str().to_owned()), demand).await
                }
                authorization => authorization,
            }
        }
        Principal::Operator | Principal::SuperAdmin(_) => authorize_operator(app, tenant, demand).await,
    };
    authorization.map(|authorization| Authorization { is_operator, ..authorization })
}

/// The steps in their order. Each fact is read from the directory once; handlers get it from the [`Authorization`].
async fn authorize_member(
    parts: &Parts,
    app: &ApiState,
    member: Member,
    (tenant, kb): (Option<String>, Option<String>),
    demand: Demand,
) -> Result<Authorization, Problem> {
    let required = demand.permission;
    // 1. The credentials are for the named tenant. Checked before the tenant is read, so that a caller learns nothing
    // about other tenants.
    check_tenant(app, &member, tenant.as_deref())?;
    // 2. It exists. Where the settings say so, a person's valid token creates it, and is answered "not ready".
    let Some(record) = app.directory().tenant(&member.tenant).await? else {
        return Err(create_or_refuse(app, &member).await);
    };
    // 3. It is open to its members.
    check_open(record.status)?;
    // The request counts, even if a later step refuses it: by now its caller and tenant are known.
    let limits = app.limits_of(&member.tenant).await?;
    let room = if demand.counts {
        app.metrics().requested(&member.tenant);
        count_request(parts, app, (&member, &record), &limits, demand.queue).await?
    } else {
        None
    };
    // 5. The caller has the required permission.
    let permissions = match required {
        None => {
            check_belongs(app, &member).await?;
            Permissions::NONE
        }
        Some(required) => {
            check_ready(record.status)?;
            let allowed = member_permissions(app, &member).await?;
            if !allowed.contains(required) {
                return Err(Problem::forbidden(required));
            }
            allowed
        }
    };
    // 6. The named knowledge base exists, and the credentials reach it.
    let kb = match kb {
        None => None,
        Some(named) => Some(reachable_kb(app, &member, &named, required).await?),
    };
    let context = member_context(&member, record.epoch, kb.as_ref().map(|kb| kb.id.clone()), permissions);
    note_key_use(app, &context);
    Ok(Authorization { context, kb, only_kb: member.kb, is_operator: false, limits: Some(limits), room })
}

/// Checks that the credentials are for the named tenant. Reads nothing, so that the answer does not tell whether
/// another tenant exists.
pub(super) fn check_tenant(app: &ApiState, member: &Member, named: Option<&str>) -> Result<(), Problem> {
    match named {
        Some(named) if named != member.tenant.as_str() => Err(Problem::new(
            Code::TenantMismatch,
            "the credentials are not for the tenant that the request names",
        )),
        None if !app.resolution().claim_suffices() => {
            let detail = "name the tenant: its credentials alone are not enough here";
            Err(Problem::new(Code::TenantRequired, detail))
        }
        _ => Ok(()),
    }
}

/// The answer for a tenant that does not exist. Where `auto_provision` is on, a person's token creates it, and
/// the person becomes its first member.
async fn create_or_refuse(app: &ApiState, member: &Member) -> Problem {
    let Actor::User(identity) = &member.actor else { return Problem::not_found() };
    if !app.resolution().auto_provision {
        return Problem::not_found();
    }
    let first = Some((identity.clone(), member.role));
    // Rare and large: boxed, so that the futures of all handlers are not as large.
    let created = Box::pin(create_by_settings(app, &member.tenant, app.plans().newcomers(), first)).await;
    created.map_or_else(|problem| problem, |()| not_ready())
}

/// The member's permissions within the reach of their credentials: those that the authenticator read with the
/// credentials, or else those in the directory.
pub(crate) async fn member_permissions(app: &ApiState, member: &Member) -> Result<Permissions, Problem> {
    let Member { tenant, actor, role, kb, permissions, .. } = member;
    let permissions = match permissions {
        Some(permissions) => *permissions,
        None => app.directory().permissions(tenant, kb.as_ref(), actor, *role).await?,
    };
    Ok(permissions.intersection(role.permissions()))
}

/// A person may have been removed since their token was issued; a key was looked up during authentication.
async fn check_belongs(app: &ApiState, member: &Member) -> Result<(), Problem> {
    let person = matches!(member.actor, Actor::User(_));
    if person && member_permissions(app, member).await? == Permissions::NONE {
        let detail = "the person of this token is no member of the tenant any more";
        return Err(Problem::new(Code::NoMembership, detail));
    }
    Ok(())
}

/// Notes that an API key is in use, once a minute.
fn note_key_use(app: &ApiState, context: &TenantContext) {
    let (Actor::ApiKey(key), tenant, now) = (context.actor(), context.tenant_id(), app.clock().now()) else {
        return;
    };
    if app.key_usage().is_due(tenant, key, now) {
        app.bookkeeper().key_used(&app.stores().scoped(context), tenant, key.clone(), now);
    }
}

/// Counts the request against the tenant's rate and its calls of the day and month. With the rate it asks for the room
/// in `queue`.
async fn count_request(
    parts: &Parts,
    app: &ApiState,
    (member, record): (&Member, &TenantRecord),
    limits: &TenantLimits,
    queue: Option<&'static str>,
) -> Result<Option<KnownRoom>, Problem> {
    let (tenant, now) = (&member.tenant, app.clock().now());
    let asked = app.request_rate().request(app.queue(), (tenant, limits), queue, &parts.extensions, now);
    let room = asked.await?;
    let context = member_context(member, record.epoch, None, Permissions::NONE);
    let stores = app.stores().scoped(&context);
    let counted = app.bookkeeper().count_call(&stores, tenant, limits, now).await;
    counted.map_err(|over| Problem::over_quota(&over, now))?;
    Ok(room)
}

/// Authorizes the operator, who is a member of no tenant: sees the state of a tenant and its jobs, manages it and
/// steers its queue, but never sees its data.
pub(super) async fn authorize_operator(
    app: &ApiState,
    tenant: Option<String>,
    demand: Demand,
) -> Result<Authorization, Problem> {
    if let Some(required) = demand.permission.filter(|_| !demand.operator_too) {
        return Err(Problem::forbidden(required));
    }
    let named = tenant
        .ok_or_else(|| Problem::new(Code::TenantRequired, "name the tenant in the path or in X-Tenant-ID"))?;
    let tenant: TenantId = named.parse().map_err(|_| Problem::not_found())?;
    let record = app.directory().tenant(&tenant).await?.ok_or_else(Problem::not_found)?;
    let context = operator_context(tenant, record.epoch);
    Ok(Authorization { context, kb: None, only_kb: None, is_operator: true, limits: None, room: None })
}

/// A knowledge base that is being deleted is 404, except for a caller who may delete it: the deletion can be repeated.
async fn reachable_kb(
    app: &ApiState,
    member: &Member,
    named: &str,
    required: Option<Permission>,
) -> Result<Kb, Problem> {
    let kb: KbId = named.parse().map_err(|_| Problem::not_found())?;
    if member.kb.as_ref().is_some_and(|only| *only != kb) {
        return Err(Problem::not_found());
    }
    let found = app.directory().kb(&member.tenant, &kb).await?;
    let may_see = |kb: &Kb| !kb.is_closed || required == Some(Permission::KbDelete);
    found.filter(may_see).ok_or_else(Problem::not_found)
}

/// The value of a header that may occur once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let unreadable = || Problem::new(Code::CredentialsInvalid, format!("the header {name} cannot be read"));
    if second.is_some() {
        return Err(unreadable());
    }
    first.map(|value| value.to_str().map_err(|_| unreadable())).transpose()
}

fn problem_of(error: AuthError) -> Problem {
    match error {
        AuthError::Token(UnverifiedToken::Away(error)) => Problem::unavailable(&error),
        AuthError::Key | AuthError::Token(_) => Problem::new(Code::CredentialsInvalid, error.to_string()),
        AuthError::NoMember => Problem::new(Code::NoMembership, error.to_string()),
        AuthError::Store(error) => error.into(),
        AuthError::Directory(error) => error.into(),
    }
}

/// Retry-After in seconds, while a tenant is being provisioned.
const PROVISIONING_RETRY_S: u32 = 2;

/// Refuses every request in a tenant that is closed to its members. A tenant that is being provisioned is open, so
/// that they can see its status.
pub(super) fn check_open(status: TenantStatus) -> Result<(), Problem> {
    match status {
        TenantStatus::Active | TenantStatus::Provisioning => Ok(()),
        TenantStatus::Suspended => {
            Err(Problem::new(Code::TenantSuspended, "the tenant is suspended: ask the operator"))
        }
        TenantStatus::Deprovisioning => Err(Problem::not_found()),
    }
}

/// Refuses requests that require an active tenant.
pub(super) fn check_ready(status: TenantStatus) -> Result<(), Problem> {
    check_open(status)?;
    if status == TenantStatus::Provisioning { Err(not_ready()) } else { Ok(()) }
}

pub(super) fn not_ready() -> Problem {
    let detail = "the tenant is being provisioned: try again in a moment";
    Problem::new(Code::TenantNotReady, detail).retry_after_s(PROVISIONING_RETRY_S)
}
