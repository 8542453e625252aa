//! Worker processes: which live, how their slots are, and whether they claim jobs; one is told to stop fetching, or to
//! go on.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::workers::{FetchOrder, LiveWorker, SlotsReport};

use super::parameters::Paging;
use crate::audit::AuditReason;
use crate::problem::Problem;
use crate::request::{OperatorCaller, Query};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Shown {
    /// Its id.
    worker: String,
}

/// `GET /api/v1/workers`: a page of the workers that live, by id.
pub(super) async fn list(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Paging>,
) -> Result<Json<WorkerPage>, Problem> {
    let (workers, next) = asked.cut(app.workers().all().await?, |worker| worker.id.clone())?;
    Ok(Json(WorkerPage { workers: workers.into_iter().map(WorkerView::from).collect(), next }))
}

/// `GET /api/v1/workers/{worker}`
pub(super) async fn show(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Path(shown): Path<Shown>,
) -> Result<Json<WorkerView>, Problem> {
    worker_view(&app, &shown).await.map(Json)
}

async fn worker_view(app: &ApiState, shown: &Shown) -> Result<WorkerView, Problem> {
    let found = app.workers().one(&shown.worker).await?;
    found.map(WorkerView::from).ok_or_else(Problem::not_found)
}

/// `POST /api/v1/workers/{worker}/stop-fetching`: it claims no more jobs, and what it has goes on.
pub(super) async fn stop_fetching(
    State(app): State<ApiState>,
    who: OperatorCaller,
    reason: AuditReason,
    Path(shown): Path<Shown>,
) -> Result<Json<WorkerView>, Problem> {
    order(&app, &who, &shown, (false, reason)).await
}

/// `POST /api/v1/workers/{worker}/resume-fetching`: it claims jobs again.
pub(super) async fn resume_fetching(
    State(app): State<ApiState>,
    who: OperatorCaller,
    reason: AuditReason,
    Path(shown): Path<Shown>,
) -> Result<Json<WorkerView>, Problem> {
    order(&app, &who, &shown, (true, reason)).await
}

async fn order(
    app: &ApiState,
    who: &OperatorCaller,
    shown: &Shown,
    (fetching, AuditReason(reason)): (bool, AuditReason),
) -> Result<Json<WorkerView>, Problem> {
    let known = app.workers().one(&shown.worker).await?.ok_or_else(Problem::not_found)?;
    // Told the same again, it has done that since it was told first.
    let same = known.order.filter(|known| known.order.fetching == fetching);
    let since = same.map_or_else(|| app.clock().now(), |known| known.order.since);
    let order = FetchOrder { fetching, since, by: who.by.to_string(), reason };
    if !app.workers().order(&shown.worker, &order).await? {
        return Err(Problem::not_found());
    }
    worker_view(app, shown).await.map(Json)
}

/// A worker process.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Worker")]
pub(super) struct WorkerView {
    /// A restarted worker is another one.
    id: String,
    /// The machine, or the container, that it runs on, if that has a name.
    host: Option<String>,
    /// The number of its process there.
    pid: u32,
    /// The version of its program.
    version: String,
    started_at: DateTime<Utc>,
    /// When it said last that it lives. One that was silent for 15 s is not listed.
    seen_at: DateTime<Utc>,
    /// Its slots, by what they are for: `jobs`, and `webhooks` for deliveries of webhooks.
    slots: BTreeMap<String, SlotsView>,
    /// Whether it is to claim jobs.
    fetching: bool,
    /// Since when it is to claim none, and why; null while it is to claim jobs.
    not_fetching: Option<NotFetching>,
    /// Whether it does that. If not, it learns of it within seconds.
    applied: bool,
}

/// How some slots of a worker are.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SlotUse")]
struct SlotsView {
    /// How many jobs run in them at the same time.
    slots: usize,
    /// Jobs that it holds.
    in_flight: usize,
}

/// That a worker was told to claim no more jobs.
#[derive(Debug, Serialize, JsonSchema)]
struct NotFetching {
    /// When it was told.
    since: DateTime<Utc>,
    /// The actor that told it last.
    by: String,
    /// Why, if that was said.
    reason: Option<String>,
}

impl From<LiveWorker> for WorkerView {
    fn from(worker: LiveWorker) -> Self {
        let applied = worker.is_obeying();
        let LiveWorker { id, seen_at, report, order } = worker;
        let stopped = order.map(|known| known.order).filter(|order| !order.fetching);
        let view = |SlotsReport { slots, in_flight }| SlotsView { slots, in_flight };
        Self {
            id,
            host: report.host,
            pid: report.pid,
            version: report.version,
            started_at: report.started_at,
            seen_at,
            slots: report.slots.into_iter().map(|(name, slots)| (name, view(slots))).collect(),
            fetching: stopped.is_none(),
            not_fetching: stopped.map(|FetchOrder { since, by, reason, .. }| NotFetching {
                since,
                by,
                reason,
            }),
            applied,
        }
    }
}

/// Worker processes.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WorkerPage {
    workers: Vec<WorkerView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
