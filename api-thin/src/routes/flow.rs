use axum::Json;
use axum::extract::{Path, State};
use jobs::queue::{Flow, TenantShare};
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::extract::{ManageJobs, QueueOwner, TenantCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{1,100}$"))]
    queue: String,
}

/// Whether jobs start, and whether new ones are taken.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Flow")]
pub(super) struct FlowView {
    /// Of which tenant; null for all of them.
    tenant: Option<TenantId>,
    /// Of which queue; not there for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// `open`, `paused` or `draining`.
    flow: &'static str,
}

/// `POST …/jobs/pause`: nothing of the tenant starts; new jobs are taken and wait.
pub(super) async fn pause(
    State(app): State<ApiState>,
    who: TenantCaller<ManageJobs>,
) -> Result<Json<FlowView>, Problem> {
    of_tenant(&app, &who, Flow::Paused).await
}

/// `POST …/jobs/resume`: as usual again.
pub(super) async fn resume(
    State(app): State<ApiState>,
    who: TenantCaller<ManageJobs>,
) -> Result<Json<FlowView>, Problem> {
    of_tenant(&app, &who, Flow::Open).await
}

/// `POST …/jobs/drain`: what is there runs; new jobs are refused.
pub(super) async fn drain(
    State(app): State<ApiState>,
    who: TenantCaller<ManageJobs>,
) -> Result<Json<FlowView>, Problem> {
    of_tenant(&app, &who, Flow::Draining).await
}

async fn of_tenant(
    app: &ApiState,
    TenantCaller(who): &TenantCaller<ManageJobs>,
    flow: Flow,
) -> Result<Json<FlowView>, Problem> {
    let share = TenantShare {
        paused: Some(flow == Flow::Paused),
        draining: Some(flow == Flow::Draining),
        ..TenantShare::default()
    };
    app.queue().tenant_set(who.tenant(), share).await?;
    Ok(Json(FlowView { tenant: Some(who.tenant().clone()), queue: None, flow: name(flow) }))
}

/// `POST …/queues/{queue}/pause`
pub(super) async fn pause_queue(
    State(app): State<ApiState>,
    owner: QueueOwner,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    of_queue(&app, owner, &named.queue, Flow::Paused).await
}

/// `POST …/queues/{queue}/resume`
pub(super) async fn resume_queue(
    State(app): State<ApiState>,
    owner: QueueOwner,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    of_queue(&app, owner, &named.queue, Flow::Open).await
}

/// `POST …/queues/{queue}/drain`
pub(super) async fn drain_queue(
    State(app): State<ApiState>,
    owner: QueueOwner,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    of_queue(&app, owner, &named.queue, Flow::Draining).await
}

async fn of_queue(
    app: &ApiState,
    owner: QueueOwner,
    queue: &str,
    flow: Flow,
) -> Result<Json<FlowView>, Problem> {
    check_name(queue)?;
    let tenant = match owner {
        QueueOwner::Everybody => {
            app.queue().queue_set(queue, flow).await?;
            None
        }
        QueueOwner::Tenant(tenant) => {
            app.queue().tenant_queue_set(&tenant, queue, flow).await?;
            Some(tenant)
        }
    };
    Ok(Json(FlowView { tenant, queue: Some(queue.to_owned()), flow: name(flow) }))
}

fn check_name(queue: &str) -> Result<(), Problem> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=100).contains(&queue.len()) && queue.bytes().all(ok) {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidField, "a queue has 1 to 100 of a-z, 0-9, ., _ and -").field("queue"))
}

const fn name(flow: Flow) -> &'static str {
    match flow {
        Flow::Open => "open",
        Flow::Paused => "paused",
        Flow::Draining => "draining",
    }
}
