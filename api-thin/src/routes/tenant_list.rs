//! The tenants of the installation for the operator: in the orders of the catalog, or by what they have in the queue.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::queue::{PartitionOverview, PartitionState};
use jobs::tenant::{TenantId, TenantStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::activity::{Held, HeldState};
use stores::model::{Tenant, TenantCursor, TenantFilter, TenantOrder, TenantSort};

use super::parameters::{invalid_parameter, page_limit, parameter};
use super::tenants::TenantView;
use crate::problem::Problem;
use crate::request::{OperatorCaller, Query};
use crate::state::ApiState;

/// Tenants with work that are looked at for one answer.
const LOOKED_AT: usize = 20_000;
/// Tenants that are held back, as the catalog knows them.
const HELD: u32 = 1_000;
/// Tenants that are read from the catalog at once.
const STEP: usize = 200;
/// Minutes over which worker time is summed.
const RECENT: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those in this status.
    #[schemars(with = "Option<TenantStatus>")]
    status: Option<String>,
    /// Only those of this plan.
    plan: Option<String>,
    /// Only those whose id or name contains this text, in whatever case.
    search: Option<String>,
    /// `id` (if absent), `name`, `plan` or `created_at`, with a `-` in front for the other direction. Or, most first
    /// and only those that have something in the queue, are held back, worked in the last ten minutes or failed in
    /// the last hour: `waiting`, `active`, `oldest`, `failed`, `worker_time`.
    #[schemars(with = "Option<super::enumerations::TenantOrder>")]
    sort: Option<String>,
    /// `true`: say what each has in the queue. Always said in orders of the queue.
    #[schemars(with = "Option<bool>")]
    queue: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// The order of a list.
#[derive(Clone, Copy)]
enum Sort {
    Catalog(TenantOrder),
    Queue(QueueSort),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueSort {
    Waiting,
    Active,
    Oldest,
    Failed,
    WorkerTime,
}

impl FromStr for Sort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let queue = match text {
            "waiting" => Some(QueueSort::Waiting),
            "active" => Some(QueueSort::Active),
            "oldest" => Some(QueueSort::Oldest),
            "failed" => Some(QueueSort::Failed),
            "worker_time" => Some(QueueSort::WorkerTime),
            _ => None,
        };
        if let Some(queue) = queue {
            return Ok(Self::Queue(queue));
        }
        let by = match text.strip_prefix('-').unwrap_or(text) {
            "id" => TenantSort::Id,
            "name" => TenantSort::Name,
            "plan" => TenantSort::Plan,
            "created_at" => TenantSort::CreatedAt,
            _ => return Err("expected an order such as name, -created_at or waiting"),
        };
        Ok(Self::Catalog(TenantOrder { by, descending: text.starts_with('-') }))
    }
}

/// `GET /api/v1/tenants`
pub(super) async fn list(
    State(app): State<ApiState>,
    _: OperatorCaller,
    Query(asked): Query<Listing>,
) -> Result<Json<TenantPage>, Problem> {
    let limit = page_limit(asked.limit.as_deref())?;
    let order = TenantOrder { by: TenantSort::Id, descending: false };
    let sort = parameter("sort", asked.sort.as_deref())?.unwrap_or(Sort::Catalog(order));
    let says_queue: bool = parameter("queue", asked.queue.as_deref())?.unwrap_or(false);
    let filter = TenantFilter {
        status: parameter("status", asked.status.as_deref())?,
        plan: asked.plan,
        search: asked.search.filter(|search| !search.is_empty()),
    };
    let wrong = || invalid_parameter("after", "expected the `next` of an earlier page");
    let order = match sort {
        Sort::Catalog(order) => order,
        Sort::Queue(by) => {
            let after = asked.after.as_deref().map(serde_json::from_str).transpose().map_err(|_| wrong())?;
            return by_queue(&app, &filter, (by, after), limit).await.map(Json);
        }
    };
    let after = asked.after.as_deref().map(|after| TenantCursor::parse(after, order.by));
    let after = after.transpose().map_err(|_| wrong())?;
    let page = app.directory().tenants_sorted(&filter, order, after.as_ref(), limit).await?;
    let mut rows: HashMap<TenantId, QueueView> = HashMap::new();
    if says_queue {
        let names: Vec<_> = page.items.iter().map(|tenant| tenant.id.clone()).collect();
        rows = Looked::at(&app, names).await?.rows.into_iter().map(|row| (row.0.clone(), row.1)).collect();
    }
    let tenants = page.items.into_iter().map(|tenant| {
        let queue = rows.remove(&tenant.id);
        ListedTenant { tenant: tenant.into(), queue }
    });
    Ok(Json(TenantPage { tenants: tenants.collect(), in_queue: None, next: page.next }))
}

/// A page of the tenants that have something in the queue. What it costs grows with those, and with nothing else.
async fn by_queue(
    app: &ApiState,
    filter: &TenantFilter,
    (by, after): (QueueSort, Option<(u64, TenantId)>),
    limit: u32,
) -> Result<TenantPage, Problem> {
    let looked = Looked::at(app, names(app).await?).await?;
    let now = app.clock().now();
    let in_queue = Some(InQueue::of(&looked.rows));
    let mut rows: Vec<(u64, (TenantId, QueueView))> =
        looked.rows.into_iter().map(|row| (row.1.key(by, now), row)).collect();
    rows.sort_by(|(a, (left, _)), (b, (right, _))| (Reverse(a), left).cmp(&(Reverse(b), right)));
    if let Some((key, id)) = after {
        rows.retain(|(found, (tenant, _))| *found < key || (*found == key && *tenant > id));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut tenants, mut last, mut next): (Vec<ListedTenant>, _, _) = (Vec::new(), None, None);
    let mut rows = rows.into_iter().peekable();
    'page: while rows.peek().is_some() {
        let step: Vec<_> = rows.by_ref().take(STEP).collect();
        let ids: Vec<TenantId> = step.iter().map(|(_, (id, _))| id.clone()).collect();
        let found = app.directory().tenants_among(&ids, filter).await?;
        let mut found: HashMap<TenantId, Tenant> =
            found.into_iter().map(|one| (one.id.clone(), one)).collect();
        for (key, (id, queue)) in step {
            let Some(tenant) = found.remove(&id) else { continue };
            if tenants.len() == limit {
                next = last;
                break 'page;
            }
            last = Some(serde_json::json!([key, id]).to_string());
            tenants.push(ListedTenant { tenant: tenant.into(), queue: Some(queue) });
        }
    }
    Ok(TenantPage { tenants, in_queue, next })
}

/// The tenants that have something in the queue, are held back, worked in the last minutes or failed in the last hour.
async fn names(app: &ApiState) -> Result<Vec<TenantId>, Problem> {
    let shards = usize::from(app.queue().shards().len().try_into().unwrap_or(u16::MAX)).max(1);
    let mut names: BTreeSet<TenantId> = BTreeSet::new();
    for shard in app.queue().shards() {
        let active = app.queue().active_partitions(shard, LOOKED_AT / shards).await?;
        names.extend(active.into_iter().map(TenantId::from));
    }
    names.extend(app.directory().tenants_held(HELD).await?);
    let hour = app.activity().last_hour(app.clock().now()).await?;
    let quiet_before = hour.len().saturating_sub(RECENT);
    for (at, (_, minute)) in hour.iter().enumerate() {
        let counts = minute.tenants.iter().filter(|(_, counts)| at >= quiet_before || counts.failed > 0);
        names.extend(counts.map(|(tenant, _)| tenant.clone()));
    }
    Ok(names.into_iter().collect())
}

/// What tenants have in the queue.
struct Looked {
    rows: Vec<(TenantId, QueueView)>,
}

impl Looked {
    async fn at(app: &ApiState, names: Vec<TenantId>) -> Result<Self, Problem> {
        let partitions: Vec<_> = names.iter().map(|tenant| (**tenant).clone()).collect();
        let found = app.queue().overview(&partitions).await?;
        let held = app.activity().held(app.queue().shards()).await?;
        let hour = app.activity().last_hour(app.clock().now()).await?;
        let recent = &hour[hour.len().saturating_sub(RECENT)..];
        let total: u64 = recent.iter().map(|(_, minute)| minute.total().run_ms).sum();
        let view = |one: PartitionOverview| {
            let tenant = TenantId::from(one.partition.clone());
            let of = recent.iter().filter_map(|(_, minute)| minute.tenants.get(&tenant));
            let worker_ms = of.map(|counts| counts.run_ms).sum();
            let queue = QueueView::of(&one, held.get(&tenant), (worker_ms, total));
            (tenant, queue)
        };
        Ok(Self { rows: found.into_iter().map(view).collect() })
    }
}

/// What a tenant has in the queue.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TenantInQueue")]
struct QueueView {
    /// `idle`: nothing could start; `ready`: the next free worker takes its jobs; `capped`, `limited` (by its rate, or
    /// it rests), `paused` or `suspended`: what waits may not start.
    #[schemars(with = "super::enumerations::TenantQueueState")]
    state: &'static str,
    /// Since when, as precisely as workers look; null when nothing waits, or no worker has looked yet.
    since: Option<DateTime<Utc>>,
    /// Whether it refuses new jobs.
    draining: bool,
    /// Running jobs.
    active: u64,
    /// How many may run at once; null without limit.
    cap: Option<u64>,
    weight: u64,
    /// When it may start a job again, if that is not now.
    limited_until: Option<DateTime<Utc>>,
    /// All jobs that will run: available, scheduled, retryable and parked.
    waiting: u64,
    available: u64,
    scheduled: u64,
    retryable: u64,
    parked: u64,
    /// When the oldest of the available jobs was made.
    oldest_at: Option<DateTime<Utc>>,
    dead_letters: u64,
    quarantined: u64,
    /// Worker time of the last ten minutes, in milliseconds. 0 if others used so much more that it was not counted.
    worker_ms: u64,
    /// The part of all worker time that this was: 0 to 1.
    worker_share: f64,
}

impl QueueView {
    fn of(one: &PartitionOverview, held: Option<&Held>, (worker_ms, total): (u64, u64)) -> Self {
        let (state, held_state) = match one.state {
            PartitionState::Idle => ("idle", None),
            PartitionState::Ready => ("ready", Some(HeldState::Waiting)),
            PartitionState::Capped => ("capped", Some(HeldState::Capped)),
            PartitionState::Limited => ("limited", Some(HeldState::Limited)),
            PartitionState::Paused => ("paused", Some(HeldState::Paused)),
            PartitionState::Suspended => ("suspended", Some(HeldState::Suspended)),
        };
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let worker_share = if total == 0 { 0.0 } else { worker_ms as f64 / total as f64 };
        Self {
            state,
            since: held.filter(|held| Some(held.state) == held_state).map(|held| held.since),
            draining: one.is_draining,
            active: one.active,
            cap: one.cap.filter(|cap| *cap > 0),
            weight: one.weight,
            limited_until: one.limited_until,
            waiting: one.waiting(),
            available: one.available,
            scheduled: one.scheduled,
            retryable: one.retryable,
            parked: one.parked,
            oldest_at: one.oldest_at,
            dead_letters: one.discarded,
            quarantined: one.quarantined,
            worker_ms,
            worker_share,
        }
    }

    /// What it is sorted by, most first.
    fn key(&self, by: QueueSort, now: DateTime<Utc>) -> u64 {
        match by {
            QueueSort::Waiting => self.waiting,
            QueueSort::Active => self.active,
            // Seconds rather than a moment, which an empty one would not have.
            QueueSort::Oldest => {
                self.oldest_at.map_or(0, |at| (now - at).num_seconds().max(0).cast_unsigned() + 1)
            }
            QueueSort::Failed => self.dead_letters + self.quarantined,
            QueueSort::WorkerTime => self.worker_ms,
        }
    }
}

/// A tenant in a list.
#[derive(Debug, Serialize, JsonSchema)]
struct ListedTenant {
    #[serde(flatten)]
    tenant: TenantView,
    /// What it has in the queue, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueView>,
}

/// All tenants that have something in the queue together.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct InQueue {
    tenants: u64,
    active: u64,
    available: u64,
    scheduled: u64,
    retryable: u64,
    parked: u64,
    dead_letters: u64,
    quarantined: u64,
}

impl InQueue {
    fn of(rows: &[(TenantId, QueueView)]) -> Self {
        let sum = |of: fn(&QueueView) -> u64| rows.iter().map(|(_, row)| of(row)).sum();
        Self {
            tenants: rows.iter().filter(|(_, row)| row.waiting + row.active > 0).count() as u64,
            active: sum(|row| row.active),
            available: sum(|row| row.available),
            scheduled: sum(|row| row.scheduled),
            retryable: sum(|row| row.retryable),
            parked: sum(|row| row.parked),
            dead_letters: sum(|row| row.dead_letters),
            quarantined: sum(|row| row.quarantined),
        }
    }
}

/// Tenants, in the order that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantPage {
    tenants: Vec<ListedTenant>,
    /// The sums over all tenants that an order of the queue looks at, whatever the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_queue: Option<InQueue>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
