//! Pausing, resuming and draining: all jobs of a tenant, or one queue; and which skills there are.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use jobs::error::report;
use jobs::queue::{Flow, SkillStatus};
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job_filter::NameOf;
use super::parameters::Paging;
use crate::accept::apply_settings;
use crate::problem::{Code, Problem};
use crate::request::{OperatorCaller, Query, SteerJobs, TenantCaller};
use crate::state::ApiState;

/// How long an answer waits for the queue.
const PATIENCE: Duration = Duration::from_secs(1);

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
    #[schemars(with = "super::enumerations::FlowState")]
    flow: &'static str,
    /// Whether the queue has the change already. If not, a worker sends it.
    applied: bool,
}

/// `POST …/jobs/pause`: nothing of the tenant starts; new jobs are taken and wait.
pub(super) async fn pause_all(
    State(app): State<ApiState>,
    who: TenantCaller<SteerJobs>,
) -> Result<Json<FlowView>, Problem> {
    change_all(&app, &who, Flow::Paused).await
}

/// `POST …/jobs/resume`: as usual again.
pub(super) async fn resume_all(
    State(app): State<ApiState>,
    who: TenantCaller<SteerJobs>,
) -> Result<Json<FlowView>, Problem> {
    change_all(&app, &who, Flow::Open).await
}

/// `POST …/jobs/drain`: jobs in the queue run; new jobs are refused.
pub(super) async fn drain_all(
    State(app): State<ApiState>,
    who: TenantCaller<SteerJobs>,
) -> Result<Json<FlowView>, Problem> {
    change_all(&app, &who, Flow::Draining).await
}

async fn change_all(
    app: &ApiState,
    who: &TenantCaller<SteerJobs>,
    flow: Flow,
) -> Result<Json<FlowView>, Problem> {
    // The catalog holds the decision; the queue has a copy.
    if !who.stores.catalog().flow_put(None, flow).await? {
        return Err(Problem::not_found());
    }
    let applied = apply_settings(app, &who.stores).await?;
    let (tenant, flow) = (Some(who.tenant().clone()), flow.as_str());
    Ok(Json(FlowView { tenant, queue: None, flow, applied }))
}

/// `POST …/queues/{queue}/pause`
pub(super) async fn pause(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<SteerJobs>>,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    change_queue(&app, owner, &named.queue, Flow::Paused).await
}

/// `POST …/queues/{queue}/resume`
pub(super) async fn resume(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<SteerJobs>>,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    change_queue(&app, owner, &named.queue, Flow::Open).await
}

/// `POST …/queues/{queue}/drain`
pub(super) async fn drain(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<SteerJobs>>,
    Path(named): Path<Named>,
) -> Result<Json<FlowView>, Problem> {
    change_queue(&app, owner, &named.queue, Flow::Draining).await
}

async fn change_queue(
    app: &ApiState,
    owner: Option<TenantCaller<SteerJobs>>,
    queue: &str,
    flow: Flow,
) -> Result<Json<FlowView>, Problem> {
    check_name(queue)?;
    if let Some(problem) = NameOf::Queue.unknown(app, [queue]).await? {
        return Err(Problem::new(Code::NotFound, problem).field("queue"));
    }
    let (tenant, applied) = match owner {
        None => {
            app.directory().queue_flow_put(queue, flow).await?;
            (None, apply_to_all(app, queue, flow).await)
        }
        Some(who) => {
            if !who.stores.catalog().flow_put(Some(queue), flow).await? {
                return Err(Problem::not_found());
            }
            (Some(who.tenant().clone()), apply_settings(app, &who.stores).await?)
        }
    };
    Ok(Json(FlowView { tenant, queue: Some(queue.to_owned()), flow: flow.as_str(), applied }))
}

/// Sends a `flow` for all tenants to the queue. `false` when it does not answer: then a worker sends it later.
async fn apply_to_all(app: &ApiState, queue: &str, flow: Flow) -> bool {
    match tokio::time::timeout(PATIENCE, app.queue().queue_set(queue, flow)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(
                job.queue = queue,
                error = report(&error),
                "the queue is away: a worker tells it later"
            );
            false
        }
        Err(_) => false,
    }
}

fn check_name(queue: &str) -> Result<(), Problem> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=100).contains(&queue.len()) && queue.bytes().all(ok) {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidField, "a queue has 1 to 100 of a-z, 0-9, ., _ and -").field("queue"))
}

/// `GET /api/v1/skills`: the types and versions of jobs, those without a live worker first.
pub(super) async fn skills(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Paging>,
) -> Result<Json<SkillList>, Problem> {
    let skills = app.queue().skills().await?;
    let key = |skill: &SkillStatus| format!("{}-{}", u8::from(skill.workers > 0), skill.skill);
    let (skills, next) = asked.cut(skills, key)?;
    Ok(Json(SkillList { skills: skills.into_iter().map(SkillView::from).collect(), next }))
}

/// A type and version of jobs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Skill")]
struct SkillView {
    /// The type, `@` and the version.
    skill: String,
    /// The queue that its jobs wait in.
    queue: String,
    /// Number of live workers that run it.
    workers: u64,
    /// How many tenants have such a job that could start now.
    ready_tenants: u64,
}

impl From<SkillStatus> for SkillView {
    fn from(SkillStatus { skill, queue, workers, ready_partitions }: SkillStatus) -> Self {
        Self { skill, queue, workers, ready_tenants: ready_partitions }
    }
}

/// Types and versions of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillList {
    skills: Vec<SkillView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
