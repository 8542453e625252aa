use axum::Json as Answering;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::plan::Plans;
use jobs::tenant::{TenantId, TenantStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Tenant, TenantFilter};

use super::page::{page_after, page_limit, parameter};
use super::text::{invalid, text};
use super::versioned::{Secret, Versioned};
use crate::accept::{
    AcceptedTenant, Answer, ClosedTenant, TenantRequest, accept_tenant, accept_tenant_delete, check_plan,
};
use crate::auth::one_name;
use crate::extract::{Anyone, Caller, IdempotencyKey, Json, OperatorCaller, Query, TenantOperator};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// A fresh one unless it is said.
    #[schemars(with = "Option<TenantId>")]
    id: Option<String>,
    /// What people call it: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// One of `/api/v1/plans`; `free` unless it is said.
    plan: Option<String>,
}

/// `POST /api/v1/tenants`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: OperatorCaller,
    key: IdempotencyKey,
    Json(body): Json<NewTenant>,
) -> Result<Secret<Answer<AcceptedTenant>>, Problem> {
    let request = request(body, who.named_tenant.as_deref())?;
    check_plan(&app, &request.plan)?;
    accept_tenant(&app, &who.maker, &key, request).await.map(Secret)
}

fn request(body: NewTenant, in_header: Option<&str>) -> Result<TenantRequest, Problem> {
    let id = one_name(body.id.as_deref().into_iter().chain(in_header)).map_err(|_| {
        Problem::new(Code::TenantConflict, "the tenant in the body and in X-Tenant-ID must be the same")
    })?;
    let id: Option<TenantId> =
        id.map(str::parse).transpose().map_err(|error| invalid("id", format!("{error}")))?;
    let name = text("name", body.name, 200)?;
    let plan = text("plan", body.plan.unwrap_or_else(|| Plans::USUAL.to_owned()), 63)?;
    Ok(TenantRequest { id, name, plan, founder: None, member: None })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those in this status.
    #[schemars(with = "Option<TenantStatus>")]
    status: Option<String>,
    /// Only those of this plan.
    plan: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET /api/v1/tenants`: a page of tenants, by id.
pub(super) async fn list(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Listing>,
) -> Result<Answering<TenantPage>, Problem> {
    let after: Option<TenantId> = page_after(asked.after.as_deref())?;
    let filter = TenantFilter { status: parameter("status", asked.status.as_deref())?, plan: asked.plan };
    let page = app.directory().tenants(&filter, after.as_ref(), page_limit(asked.limit.as_deref())?).await?;
    let tenants = page.items.into_iter().map(TenantView::from).collect();
    Ok(Answering(TenantPage { tenants, next: page.next }))
}

/// `GET /api/v1/tenants/{tenant}`
pub(super) async fn show(who: Caller<Anyone>) -> Result<Versioned<TenantView>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    Ok(Versioned { revision: tenant.revision, body: tenant.into() })
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
pub(super) struct TenantView {
    id: TenantId,
    /// What people call it.
    name: String,
    /// The word in its subdomain.
    slug: String,
    plan: String,
    status: TenantStatus,
    created_at: DateTime<Utc>,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, name, slug, plan, status, created_at, .. } = tenant;
        Self { id, name, slug, plan, status, created_at }
    }
}

/// Tenants, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantPage {
    tenants: Vec<TenantView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// `DELETE /api/v1/tenants/{tenant}`: close it, and empty every store of it.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: TenantOperator,
) -> Result<Answer<ClosedTenant>, Problem> {
    accept_tenant_delete(&app, who).await
}
