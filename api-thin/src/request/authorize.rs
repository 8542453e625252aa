//! The one way from a request to a [`TenantContext`]: credentials, names, tenant, state, permission,
//! knowledge base, in that order. Whatever the caller may not know about is the same 404.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use jobs::tenant::{
    Actor, Authenticated, Identity, KbId, Permission, Permissions, Role, TenantContext, TenantId,
    TenantRecord, TenantStatus,
};
use stores::model::Kb;

use super::tenant_name::named_kb;
use crate::accept::bring_into_being;
use crate::auth::{AuthError, Member, Presented, Principal, SuperAdmin, Unreadable, UnverifiedToken};
use crate::connections::OpenRequest;
use crate::problem::{Code, Problem};
use crate::state::ApiState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A caller that was let in.
pub(crate) struct Admission {
    pub(crate) context: TenantContext,
    pub(crate) kb: Option<Kb>,
    /// The only knowledge base that the credentials reach.
    pub(crate) only_kb: Option<KbId>,
    /// Whether the caller may do what the operator may, whatever they are in the tenant.
    pub(crate) is_operator: bool,
}

/// Checks the credentials of a request. Where they are good its connection stays open, and its body may be larger.
pub(crate) async fn identify(parts: &Parts, app: &ApiState) -> Result<Principal, Problem> {
    let identity = check_credentials(parts, app).await?;
    if let Some(open) = parts.extensions.get::<Arc<OpenRequest>>() {
        open.believe();
    }
    Ok(identity)
}

async fn check_credentials(parts: &Parts, app: &ApiState) -> Result<Principal, Problem> {
    let presented = match presented(parts)? {
        Ok(presented) => presented,
        Err(error) => {
            let anybody = anybody(app).filter(|_| error == Unreadable::Missing);
            return anybody.ok_or_else(|| Problem::new(Code::CredentialsMissing, error.to_string()));
        }
    };
    app.authenticator().identify(&presented).await.map_err(refusal)
}

/// The person whose token a request shows, if it shows credentials.
pub(crate) async fn person(parts: &Parts, app: &ApiState) -> Result<Option<Identity>, Problem> {
    let presented = match presented(parts)? {
        Ok(presented) => presented,
        Err(Unreadable::Missing) => return Ok(None),
        Err(error) => return Err(Problem::new(Code::CredentialsMissing, error.to_string())),
    };
    match app.authenticator().identity(&presented).await.map_err(refusal)? {
        Some(identity) => Ok(Some(identity)),
        None => Err(Problem::new(Code::Forbidden, "only a person can do this: send the token of one")),
    }
}

fn presented(parts: &Parts) -> Result<Result<Presented, Unreadable>, Problem> {
    let authorization = only(&parts.headers, &header::AUTHORIZATION)?;
    let api_key = only(&parts.headers, &API_KEY)?;
    Ok(Presented::from_headers(authorization, api_key))
}

/// Whoever comes without credentials to an installation that asks for none.
fn anybody(app: &ApiState) -> Option<Principal> {
    let tenant = app.resolution().only_tenant.clone().filter(|_| app.resolution().anonymous)?;
    Some(Principal::Member(Member::anonymous(tenant)))
}

/// Lets a caller in who has `needed`: whoever it is, and the tenant that the request names.
pub(crate) async fn admit(
    parts: &mut Parts,
    app: &ApiState,
    (principal, tenant): (Principal, Option<String>),
    needed: Option<Permission>,
) -> Result<Admission, Problem> {
    let kb = named_kb(parts).await?;
    let is_operator = principal.is_operator();
    let admission = match principal {
        Principal::Member(member) => admit_member(parts, app, member, (tenant, kb), needed).await,
        Principal::SuperAdmin(SuperAdmin { member: Some(member), .. })
            if tenant.as_ref().is_none_or(|named| named == member.tenant.as_str()) =>
        {
            let own = member.tenant.clone();
            match admit_member(parts, app, member, (tenant, kb), needed).await {
                // Whoever may bring the tenant back has to see it.
                Err(problem) if problem.code() == Code::TenantSuspended => {
                    admit_operator(app, Some(own.as_str().to_owned()), needed).await
                }
                admission => admission,
            }
        }
        Principal::Operator | Principal::SuperAdmin(_) => admit_operator(app, tenant, needed).await,
    };
    admission.map(|admission| Admission { is_operator, ..admission })
}

async fn admit_member(
    parts: &Parts,
    app: &ApiState,
    member: Member,
    (tenant, kb): (Option<String>, Option<String>),
    needed: Option<Permission>,
) -> Result<Admission, Problem> {
    check_tenant(app, &member, tenant.as_deref())?;
    let Some(record) = app.directory().tenant(&member.tenant).await? else {
        return Err(absent(app, &member).await);
    };
    check_open(record.status)?;
    meter(parts, app, &member, record).await?;
    let permissions = match needed {
        None => {
            check_belongs(app, &member).await?;
            Permissions::NONE
        }
        Some(needed) => {
            check_ready(record.status)?;
            let now = permissions(app, &member).await?;
            let allowed = now.intersection(member.role.permissions());
            if !allowed.contains(needed) {
                return Err(Problem::forbidden(needed));
            }
            allowed
        }
    };
    let kb = match kb {
        None => None,
        Some(named) => Some(reachable_kb(app, &member, &named, needed).await?),
    };
    let Member { tenant, actor, role, kb: only_kb, .. } = member;
    let kb_id = kb.as_ref().map(|kb| kb.id.clone());
    let who = Authenticated { tenant_id: tenant, epoch: record.epoch, kb_id, actor, role, permissions };
    let context = context_of(who);
    note_use(app, &context);
    Ok(Admission { context, kb, only_kb, is_operator: false })
}

/// The credentials are for the tenant that the request names. Whether another one exists makes no difference.
pub(crate) fn check_tenant(app: &ApiState, member: &Member, named: Option<&str>) -> Result<(), Problem> {
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

/// What to answer about a tenant that does not exist, which a person's token may bring into being: they become its
/// first
/// member.
async fn absent(app: &ApiState, member: &Member) -> Problem {
    let Actor::User(identity) = &member.actor else { return Problem::not_found() };
    if !app.resolution().auto_provision {
        return Problem::not_found();
    }
    let first = Some((identity.clone(), member.role));
    // Rare and large: boxed, so that the futures of all handlers are not as large.
    let made = Box::pin(bring_into_being(app, &member.tenant, first)).await;
    made.map_or_else(|problem| problem, |()| not_ready())
}

/// What a member may do in what their credentials reach.
async fn permissions(app: &ApiState, member: &Member) -> Result<Permissions, Problem> {
    let Member { tenant, actor, role, kb, .. } = member;
    Ok(app.directory().permissions(tenant, kb.as_ref(), actor, *role).await?)
}

/// A person may have been removed since their token was made; a key was looked up just now.
async fn check_belongs(app: &ApiState, member: &Member) -> Result<(), Problem> {
    let person = matches!(member.actor, Actor::User(_));
    if person && permissions(app, member).await? == Permissions::NONE {
        let detail = "the person of this token is no member of the tenant any more";
        return Err(Problem::new(Code::NoMembership, detail));
    }
    Ok(())
}

/// Writes down that an API key is in use, once a minute and beside the request.
fn note_use(app: &ApiState, context: &TenantContext) {
    let (Actor::ApiKey(key), now) = (context.actor(), app.clock().now()) else { return };
    if !app.key_usage().is_news(context.tenant_id(), key, now) {
        return;
    }
    let (catalog, key) = (app.stores().scoped(context).catalog(), key.clone());
    tokio::spawn(async move {
        if let Err(error) = catalog.api_key_used(&key, now).await {
            tracing::warn!(error = jobs::error::report(&error), "the use of an API key was not written down");
        }
    });
}

/// Counts the request, whatever becomes of it: who it is from is known, and that it is about their own tenant.
async fn meter(parts: &Parts, app: &ApiState, member: &Member, record: TenantRecord) -> Result<(), Problem> {
    let context = context_of(Authenticated {
        tenant_id: member.tenant.clone(),
        epoch: record.epoch,
        kb_id: None,
        actor: member.actor.clone(),
        role: member.role,
        permissions: Permissions::NONE,
    });
    let (stores, limits) = (app.stores().scoped(&context), app.limits_of(&member.tenant).await?);
    app.request_quotas().request(&stores, &member.tenant, &limits, &parts.extensions, app.clock().now()).await
}

/// The operator is a member of no tenant: sees how a tenant and its jobs are, and manages it, but never sees its
/// data.
pub(crate) async fn admit_operator(
    app: &ApiState,
    tenant: Option<String>,
    needed: Option<Permission>,
) -> Result<Admission, Problem> {
    if let Some(needed) = needed.filter(|needed| !OPERATOR.contains(*needed)) {
        return Err(Problem::forbidden(needed));
    }
    let named = tenant
        .ok_or_else(|| Problem::new(Code::TenantRequired, "name the tenant in the path or in X-Tenant-ID"))?;
    let tenant: TenantId = named.parse().map_err(|_| Problem::not_found())?;
    let record = app.directory().tenant(&tenant).await?.ok_or_else(Problem::not_found)?;
    Ok(Admission {
        context: operator_context(tenant, record.epoch),
        kb: None,
        only_kb: None,
        is_operator: true,
    })
}

/// What the operator may do in every tenant.
const OPERATOR: Permissions = Permissions::of(&[Permission::TenantManage]);

/// The operator's authority in one tenant: to bring it into being, and to manage it.
pub(crate) fn operator_context(tenant: TenantId, epoch: u64) -> TenantContext {
    context_of(Authenticated {
        tenant_id: tenant,
        epoch,
        kb_id: None,
        actor: Actor::Operator,
        role: Role::Admin,
        permissions: OPERATOR,
    })
}

/// What a schedule of the caller's may do: as much as the caller, now and whenever it fires.
pub(crate) fn schedule_context(maker: &TenantContext, name: &str) -> TenantContext {
    context_of(Authenticated {
        tenant_id: maker.tenant_id().clone(),
        epoch: maker.epoch(),
        kb_id: maker.kb_id().cloned(),
        actor: Actor::Schedule(name.into()),
        role: maker.role(),
        permissions: maker.permissions(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the API's extractor: the caller's credentials were checked above"
)]
fn context_of(who: Authenticated) -> TenantContext {
    tracing::Span::current().record("tenant.id", who.tenant_id.as_str());
    TenantContext::for_request(who)
}

/// One that is being deleted is there for nobody but for whoever may delete it once more.
async fn reachable_kb(
    app: &ApiState,
    member: &Member,
    named: &str,
    needed: Option<Permission>,
) -> Result<Kb, Problem> {
    let kb: KbId = named.parse().map_err(|_| Problem::not_found())?;
    if member.kb.as_ref().is_some_and(|only| *only != kb) {
        return Err(Problem::not_found());
    }
    let found = app.directory().kb(&member.tenant, &kb).await?;
    let may_see = |kb: &Kb| !kb.is_closed || needed == Some(Permission::KbDelete);
    found.filter(may_see).ok_or_else(Problem::not_found)
}

/// The value of a header that may come once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let unreadable = || Problem::new(Code::CredentialsInvalid, format!("the header {name} cannot be read"));
    if second.is_some() {
        return Err(unreadable());
    }
    first.map(|value| value.to_str().map_err(|_| unreadable())).transpose()
}

fn refusal(error: AuthError) -> Problem {
    match error {
        AuthError::Token(UnverifiedToken::Away(error)) => Problem::unavailable(&error),
        AuthError::Key | AuthError::Token(_) => Problem::new(Code::CredentialsInvalid, error.to_string()),
        AuthError::NoMember => Problem::new(Code::NoMembership, error.to_string()),
        AuthError::Store(error) => error.into(),
        AuthError::Directory(error) => error.into(),
    }
}

/// When to look again whether a tenant was provisioned.
const PROVISIONING_RETRY_S: u32 = 2;

/// Refuses everything in a tenant that is closed to its members. One that is being provisioned is not: they see how
/// far it is.
pub(crate) fn check_open(status: TenantStatus) -> Result<(), Problem> {
    match status {
        TenantStatus::Active | TenantStatus::Provisioning => Ok(()),
        TenantStatus::Suspended => {
            Err(Problem::new(Code::TenantSuspended, "the tenant is suspended: ask the operator"))
        }
        TenantStatus::Deprovisioning => Err(Problem::not_found()),
    }
}

/// Refuses what needs a tenant that is in use.
pub(crate) fn check_ready(status: TenantStatus) -> Result<(), Problem> {
    check_open(status)?;
    if status == TenantStatus::Provisioning { Err(not_ready()) } else { Ok(()) }
}

pub(crate) fn not_ready() -> Problem {
    let detail = "the tenant is being provisioned: try again in a moment";
    Problem::new(Code::TenantNotReady, detail).retry_after_s(PROVISIONING_RETRY_S)
}
