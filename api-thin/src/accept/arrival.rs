//! Tenants that come into being without anybody asking for them.

use jobs::plan::Plans;
use jobs::tenant::{Identity, Role, TenantId};

use super::tenant::{TenantRequest, accept_tenant};
use crate::extract::{IdempotencyKey, TenantMaker};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// Makes `tenant` with the usual plan and its first member, unless it exists. Its first API key is not shown.
///
/// # Errors
/// When a store is away.
pub(crate) async fn bring_into_being(
    app: &ApiState,
    tenant: &TenantId,
    member: Option<(Identity, Role)>,
) -> Result<(), Problem> {
    let request = TenantRequest {
        id: Some(tenant.clone()),
        name: tenant.as_str().to_owned(),
        plan: Plans::USUAL.to_owned(),
        founder: None,
        member,
    };
    match accept_tenant(app, &TenantMaker::of_installation(), &IdempotencyKey(None), request).await {
        Err(problem) if problem.code() != Code::TenantExists => Err(problem),
        _ => Ok(()),
    }
}

/// Makes the tenant of an installation that has one only.
///
/// # Errors
/// When a store is away.
pub(crate) async fn make_only_tenant(app: &ApiState) -> Result<(), Problem> {
    match app.resolution().only_tenant.clone() {
        Some(tenant) => bring_into_being(app, &tenant, None).await,
        None => Ok(()),
    }
}
