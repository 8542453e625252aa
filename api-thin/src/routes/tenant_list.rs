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

use super::parameters::{NumberedPage, PageNumbers, invalid_parameter, page_limit, parameter};
use super::tenants::{StatisticsView, TenantView};
use crate::problem::Problem;
use crate::request::{Query, TenantLister};
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
    /// In place of `after` and `limit`: the number of the page, 1 for the first. Not in orders of the queue.
    #[schemars(with = "Option<u32>", range(min = 1))]
    page: Option<String>,
    /// With `page`: how many to show, 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    page_size: Option<String>,
    /// `true`: say how much each has. So by default with `page`. It costs the more the more documents they have.
    #[schemars(with = "Option<bool>")]
    statistics: Option<String>,
}

impl Listing {
    fn numbered(&self) -> Result<Option<NumberedPage>, Problem> {
        let cursor = [self.after.as_deref(), self.limit.as_deref()];
        NumberedPage::asked(self.page.as_deref(), self.page_size.as_deref(), cursor)
    }
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
    who: TenantLister,
    Query(asked): Query<Listing>,
) -> Result<Json<Listed>, Problem> {
    match who {
        TenantLister::Operator => for_operator(&app, asked).await.map(Listed::Full).map(Json),
        TenantLister::Public(from) => {
            let accounts = app.accounts();
            accounts.count(&format!("tenants:address:{from}"), accounts.rules().per_address).await?;
            for_everybody(&app, &asked).await.map(Listed::Names).map(Json)
        }
    }
}

const BY_ID: TenantOrder = TenantOrder { by: TenantSort::Id, descending: false };

async fn for_operator(app: &ApiState, asked: Listing) -> Result<TenantPage, Problem> {
    let numbered = asked.numbered()?;
    let sort = parameter("sort", asked.sort.as_deref())?.unwrap_or(Sort::Catalog(BY_ID));
    let says_queue: bool = parameter("queue", asked.queue.as_deref())?.unwrap_or(false);
    let counts = parameter("statistics", asked.statistics.as_deref())?.unwrap_or(numbered.is_some());
    let filter = TenantFilter {
        status: parameter("status", asked.status.as_deref())?,
        plan: asked.plan.clone(),
        search: asked.search.clone().filter(|search| !search.is_empty()),
    };
    let order = match sort {
        Sort::Catalog(order) => order,
        Sort::Queue(_) if numbered.is_some() => {
            let problem =
                "an order of the queue changes while it is read: send limit and after in place of it";
            return Err(invalid_parameter("page", problem));
        }
        Sort::Queue(by) => {
            let limit = page_limit(asked.limit.as_deref())?;
            let after = asked.after.as_deref().map(serde_json::from_str).transpose();
            let page = by_queue(app, &filter, (by, after.map_err(|_| wrong_cursor())?), limit).await?;
            return with_statistics(app, page, counts).await;
        }
    };
    let (found, next, numbers) = in_order(app, &filter, order, &asked, numbered).await?;
    let mut rows: HashMap<TenantId, QueueView> = HashMap::new();
    if says_queue {
        let names: Vec<_> = found.iter().map(|tenant| tenant.id.clone()).collect();
        rows = Looked::at(app, names).await?.rows.into_iter().map(|row| (row.0.clone(), row.1)).collect();
    }
    let tenants = found.into_iter().map(|tenant| {
        let (id, queue) = (tenant.id.clone(), rows.remove(&tenant.id));
        (id, ListedTenant { tenant: tenant.into(), queue })
    });
    let (ids, tenants) = tenants.unzip();
    with_statistics(app, TenantPage { ids, tenants, in_queue: None, next, numbers }, counts).await
}

fn wrong_cursor() -> Problem {
    invalid_parameter("after", "expected the `next` of an earlier page")
}

/// A page in an order of the catalog, by cursor or by number.
async fn in_order(
    app: &ApiState,
    filter: &TenantFilter,
    order: TenantOrder,
    asked: &Listing,
    numbered: Option<NumberedPage>,
) -> Result<(Vec<Tenant>, Option<String>, Option<PageNumbers>), Problem> {
    let directory = app.directory();
    if let Some(numbered) = numbered {
        let found = directory.tenants_numbered(filter, order, numbered.offset(), numbered.size).await?;
        return Ok((found.0, None, Some(numbered.of(found.1))));
    }
    let after = asked.after.as_deref().map(|after| TenantCursor::parse(after, order.by));
    let after = after.transpose().map_err(|_| wrong_cursor())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let page = directory.tenants_sorted(filter, order, after.as_ref(), limit).await?;
    Ok((page.items, page.next, None))
}

/// The page, and how much each of its tenants has, if that was asked.
async fn with_statistics(app: &ApiState, mut page: TenantPage, counts: bool) -> Result<TenantPage, Problem> {
    if counts && !page.ids.is_empty() {
        let mut found = app.directory().tenant_statistics(&page.ids).await?;
        for (id, listed) in page.ids.iter().zip(&mut page.tenants) {
            listed.tenant.statistics = found.remove(id).map(StatisticsView::from);
        }
    }
    Ok(page)
}

/// How the active tenants are called, for people who choose one before they log in.
async fn for_everybody(app: &ApiState, asked: &Listing) -> Result<NamesPage, Problem> {
    let operators = [&asked.status, &asked.plan, &asked.search, &asked.sort, &asked.queue, &asked.statistics];
    if operators.iter().any(|parameter| parameter.is_some()) {
        let problem = "without the operator's key only page, page_size, limit and after are known here";
        return Err(invalid_parameter("page", problem));
    }
    let filter = TenantFilter { status: Some(TenantStatus::Active), ..TenantFilter::default() };
    let (found, next, numbers) = in_order(app, &filter, BY_ID, asked, asked.numbered()?).await?;
    let names = found.into_iter().map(|Tenant { id, name, .. }| Naming {
        tenant_id: id.clone(),
        id,
        tenant_name: name.clone(),
        name,
    });
    Ok(NamesPage { tenants: names.collect(), next, numbers })
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
    let (mut shown, mut tenants): (Vec<TenantId>, Vec<ListedTenant>) = (Vec::new(), Vec::new());
    let (mut last, mut next) = (None, None);
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
            shown.push(id);
            tenants.push(ListedTenant { tenant: tenant.into(), queue: Some(queue) });
        }
    }
    Ok(TenantPage { ids: shown, tenants, in_queue, next, numbers: None })
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
#[schemars(rename = "TenantPage")]
pub(super) struct TenantPage {
    /// Those of `tenants`.
    #[serde(skip)]
    ids: Vec<TenantId>,
    tenants: Vec<ListedTenant>,
    /// The sums over all tenants that an order of the queue looks at, whatever the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_queue: Option<InQueue>,
    /// Where the next page begins; null at the end, and for a page by number.
    next: Option<String>,
    #[serde(flatten)]
    numbers: Option<PageNumbers>,
}

/// How a tenant is called.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TenantName")]
struct Naming {
    id: TenantId,
    /// The same as `id`.
    tenant_id: TenantId,
    name: String,
    /// The same as `name`.
    tenant_name: String,
}

/// How active tenants are called, by id: what callers see who are not the operator, where the settings allow it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TenantNamesPage")]
pub(super) struct NamesPage {
    tenants: Vec<Naming>,
    /// Where the next page begins; null at the end, and for a page by number.
    next: Option<String>,
    #[serde(flatten)]
    numbers: Option<PageNumbers>,
}

/// A page of tenants, as much of it as the caller may see.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "TenantList")]
pub(super) enum Listed {
    Full(TenantPage),
    Names(NamesPage),
}
