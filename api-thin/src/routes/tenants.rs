use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json as Answering, http::HeaderValue, http::header};
use jobs::plan::Plans;
use jobs::tenant::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};
use stores::model::{Tenant, TenantFilter};

use super::page::{page_after, page_limit, parameter};
use super::text::{invalid, text};
use super::versioned::Versioned;
use crate::accept::{Answer, TenantRequest, accept_tenant, accept_tenant_delete, check_plan};
use crate::auth::one_name;
use crate::extract::{Anyone, Caller, IdempotencyKey, Json, OperatorCaller, Query, TenantOperator};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    id: Option<String>,
    name: String,
    plan: Option<String>,
}

/// `POST /api/v1/tenants`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: OperatorCaller,
    key: IdempotencyKey,
    Json(body): Json<NewTenant>,
) -> Result<Response, Problem> {
    let request = request(body, who.named_tenant.as_deref())?;
    check_plan(&app, &request.plan)?;
    let mut response = accept_tenant(&app, &who.maker, &key, request).await?.into_response();
    // The answer holds a secret.
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn request(body: NewTenant, in_header: Option<&str>) -> Result<TenantRequest, Problem> {
    let id = one_name(body.id.as_deref().into_iter().chain(in_header)).map_err(|_| {
        Problem::new(Code::TenantConflict, "the tenant in the body and in X-Tenant-ID must be the same")
    })?;
    let id: Option<TenantId> =
        id.map(str::parse).transpose().map_err(|error| invalid("id", format!("{error}")))?;
    let name = text("name", body.name, 200)?;
    let plan = text("plan", body.plan.unwrap_or_else(|| Plans::USUAL.to_owned()), 63)?;
    Ok(TenantRequest { id, name, plan, founder: None })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    status: Option<String>,
    plan: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

/// `GET /api/v1/tenants`: a page of tenants, by id.
pub(super) async fn list(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Listing>,
) -> Result<Answering<Value>, Problem> {
    let after: Option<TenantId> = page_after(asked.after.as_deref())?;
    let filter = TenantFilter { status: parameter("status", asked.status.as_deref())?, plan: asked.plan };
    let page = app.directory().tenants(&filter, after.as_ref(), page_limit(asked.limit)?).await?;
    let tenants: Vec<Value> = page.items.iter().map(view).collect();
    Ok(Answering(json!({ "tenants": tenants, "next": page.next })))
}

/// `GET /api/v1/tenants/{tenant}`
pub(super) async fn show(who: Caller<Anyone>) -> Result<Versioned, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    Ok(Versioned { revision: tenant.revision, body: view(&tenant) })
}

fn view(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "slug": tenant.slug,
        "plan": tenant.plan,
        "status": tenant.status,
        "created_at": tenant.created_at,
    })
}

/// `DELETE /api/v1/tenants/{tenant}`: close it, and empty every store of it.
pub(super) async fn delete(State(app): State<ApiState>, who: TenantOperator) -> Result<Answer, Problem> {
    accept_tenant_delete(&app, who).await
}
