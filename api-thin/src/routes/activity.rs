//! What workers did in the last hour: for charts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::Serialize;
use stores::activity::{Counts, Minute};

use crate::problem::Problem;
use crate::request::{AnyMember, TenantCaller};
use crate::state::ApiState;

/// Tenants that the operator sees by name.
const TENANTS: usize = 20;

type Hour = Vec<(DateTime<Utc>, Arc<Minute>)>;

/// `GET …/activity`: the last hour of the tenant; for an operator who names no tenant, of all of them.
pub(super) async fn show(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<AnyMember>>,
) -> Result<Json<ActivityView>, Problem> {
    let hour = app.activity().last_hour(app.clock().now()).await?;
    let Some(who) = owner else { return of_all(&app, &hour).await.map(Json) };
    let minutes = hour.iter().map(|(at, minute)| match minute.of(who.tenant()) {
        Some(counts) => MinuteView::of(*at, &counts),
        None => MinuteView { is_counted: false, ..MinuteView::of(*at, &Counts::default()) },
    });
    Ok(Json(ActivityView {
        tenant: Some(who.tenant().clone()),
        minutes: minutes.collect(),
        types: None,
        tenants: None,
        other_tenants: None,
    }))
}

async fn of_all(app: &ApiState, hour: &Hour) -> Result<ActivityView, Problem> {
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    for (kind, counts) in hour.iter().flat_map(|(_, minute)| &minute.kinds) {
        kinds.entry(kind).or_default().add(counts);
    }
    let kind = |(kind, counts): (&str, Counts)| KindView { kind: kind.to_owned(), counts: counts.into() };
    let (shown, others) = by_worker_time(hour);
    let mut tenants = Vec::with_capacity(shown.len());
    for (tenant, series) in shown {
        // Without a plan it was deleted meanwhile.
        let weight = app.limits_of(&tenant).await.ok().map_or(1, |limits| limits.weight.unwrap_or(1));
        tenants.push(TenantView { tenant, weight: u64::from(weight), series: SeriesView::of(&series) });
    }
    Ok(ActivityView {
        tenant: None,
        minutes: hour.iter().map(|(at, minute)| MinuteView::of(*at, &minute.total())).collect(),
        types: Some(kinds.into_iter().map(kind).collect()),
        tenants: Some(tenants),
        other_tenants: Some(SeriesView::of(&others)),
    })
}

/// The tenants that used most worker time, most first, each with its minutes; and all others together.
fn by_worker_time(hour: &Hour) -> (Vec<(TenantId, Vec<Counts>)>, Vec<Counts>) {
    let none = || vec![Counts::default(); hour.len()];
    let mut tenants: HashMap<&TenantId, Vec<Counts>> = HashMap::new();
    let mut others = none();
    for (at, (_, minute)) in hour.iter().enumerate() {
        for (tenant, counts) in &minute.tenants {
            tenants.entry(tenant).or_insert_with(none)[at] = *counts;
        }
        others[at] = minute.others;
    }
    let time = |series: &[Counts]| series.iter().map(|counts| counts.run_ms).sum::<u64>();
    let mut tenants: Vec<_> = tenants.into_iter().map(|(tenant, series)| (tenant.clone(), series)).collect();
    tenants.sort_by_cached_key(|(tenant, series)| (std::cmp::Reverse(time(series)), tenant.clone()));
    for (_, series) in tenants.drain(TENANTS.min(tenants.len())..) {
        others.iter_mut().zip(&series).for_each(|(others, counts)| others.add(counts));
    }
    (tenants, others)
}

/// The last 60 minutes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Activity")]
pub(super) struct ActivityView {
    /// Of which tenant; null for all of them.
    tenant: Option<TenantId>,
    /// Oldest first. The last one is not over yet.
    minutes: Vec<MinuteView>,
    /// The whole hour by type of jobs. For the operator, about all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<KindView>>,
    /// The tenants that used most worker time, most first. For the operator, about all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<TenantView>>,
    /// All other tenants together.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_tenants: Option<SeriesView>,
}

/// What was counted. A worker writes it down every few seconds; what it counted since is lost when it dies.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityCounts")]
struct CountsView {
    /// Attempts that began.
    started: u64,
    /// Jobs that are done.
    completed: u64,
    /// Attempts that failed and are repeated.
    retried: u64,
    /// Jobs that failed for good.
    failed: u64,
    /// Jobs that were cancelled while they ran.
    cancelled: u64,
    /// Attempts that ended without a result, such as at a shutdown, or because a store was away.
    returned: u64,
    /// How long jobs waited between their time and their first start, on average; null when none started.
    mean_wait_ms: Option<u64>,
    /// How long jobs ran, together.
    run_ms: u64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let mean_wait_ms = counts.mean_wait_ms();
        let Counts { started, completed, retried, failed, cancelled, returned, run_ms, .. } = counts;
        Self { started, completed, retried, failed, cancelled, returned, mean_wait_ms, run_ms }
    }
}

/// One minute.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityMinute")]
struct MinuteView {
    /// When it began.
    at: DateTime<Utc>,
    /// False when other tenants used so much more worker time that this one was not counted by itself.
    is_counted: bool,
    #[serde(flatten)]
    counts: CountsView,
}

impl MinuteView {
    fn of(at: DateTime<Utc>, counts: &Counts) -> Self {
        Self { at, is_counted: true, counts: (*counts).into() }
    }
}

/// A type of jobs in the last hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityOfType")]
struct KindView {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    counts: CountsView,
}

/// A tenant in the last hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivityOfTenant")]
struct TenantView {
    tenant: TenantId,
    /// Its share of worker time among tenants that have work, in relation to theirs.
    weight: u64,
    #[serde(flatten)]
    series: SeriesView,
}

/// Minutes of one tenant, or of several together, in the order of `minutes`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActivitySeries")]
struct SeriesView {
    /// The worker time of each minute, in milliseconds.
    run_ms: Vec<u64>,
    /// Attempts that began in each minute.
    started: Vec<u64>,
    /// Jobs that failed for good in each minute.
    failed: Vec<u64>,
}

impl SeriesView {
    fn of(series: &[Counts]) -> Self {
        let each = |measure: fn(&Counts) -> u64| series.iter().map(measure).collect();
        Self { run_ms: each(|of| of.run_ms), started: each(|of| of.started), failed: each(|of| of.failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(run_ms: u64) -> Counts {
        Counts { started: 1, run_ms, ..Counts::default() }
    }

    #[test]
    fn tenants_are_named_by_their_worker_time_and_the_rest_is_summed() {
        let tenant = |at: usize| format!("tenant-{at}").parse::<TenantId>().unwrap();
        let minute = |tenants: Vec<(usize, u64)>, others| {
            let tenants = tenants.into_iter().map(|(at, run_ms)| (tenant(at), ran(run_ms))).collect();
            Arc::new(Minute { tenants, others: ran(others), ..Minute::default() })
        };
        let at = DateTime::UNIX_EPOCH;
        let first = minute((0..30).map(|at| (at, 100 - at as u64)).collect(), 7);
        let hour = vec![(at, first), (at, minute(vec![(29, 1_000)], 0))];
        let (shown, others) = by_worker_time(&hour);
        assert_eq!((shown.len(), &shown[0].0), (TENANTS, &tenant(29)));
        assert_eq!(shown[0].1.iter().map(|counts| counts.run_ms).collect::<Vec<_>>(), [71, 1_000]);
        let hidden: u64 = (19..29).map(|at| 100 - at).sum();
        assert_eq!(others.iter().map(|counts| counts.run_ms).collect::<Vec<_>>(), [7 + hidden, 0]);
    }
}
