//! The first page: for an operator the whole installation, for everybody else their tenant.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use futures::{StreamExt as _, stream};

use crate::Dashboard;
use crate::api::{Problem, segment};
use crate::contract::{Counts, JobPage, LanePage, Tenant, TenantPage, Totals};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, number};

/// How many tenants the overview looks at.
const LOOKED_AT: usize = 200;
/// How many of them are asked about at once.
const AT_ONCE: usize = 16;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    counts: Counts,
    totals: Totals,
    tenants: usize,
    more: bool,
    busiest: Vec<TenantRow>,
    needs: Vec<Need>,
    workers: u64,
}

/// A tenant, and what it has in the queue.
pub(crate) struct TenantRow {
    pub(crate) tenant: Tenant,
    pub(crate) path: String,
    pub(crate) counts: Counts,
    pub(crate) totals: Totals,
}

/// Something that a person should look at.
struct Need {
    tone: &'static str,
    text: String,
    href: String,
}

pub(crate) async fn show(State(_): State<Dashboard>, visitor: Visitor) -> Result<Response, PageError> {
    if !visitor.me.operator {
        return home(&visitor);
    }
    let listed: TenantPage = visitor.api.get(&format!("/tenants?limit={LOOKED_AT}")).await?;
    let more = listed.next.is_some();
    let rows = with_counts(&visitor, listed.tenants).await?;
    let lanes: LanePage = visitor.api.get("/lanes?limit=1000").await?;
    let (mut counts, mut totals) = (Counts::default(), Totals::default());
    for row in &rows {
        counts = sum(counts, row.counts);
        totals.completed += row.totals.completed;
        totals.cancelled += row.totals.cancelled;
        totals.discarded += row.totals.discarded;
    }
    let needs = needs(&rows, &lanes);
    let tenants = rows.len();
    let workers = lanes.lanes.iter().map(|lane| lane.workers).max().unwrap_or_default();
    let mut busiest = rows;
    busiest.sort_by_key(|row| std::cmp::Reverse(row.counts.open()));
    busiest.truncate(10);
    let frame = Frame::new(&visitor, "Overview", "overview");
    Ok(page(&Overview { frame, counts, totals, tenants, more, busiest, needs, workers }))
}

/// Where a member begins.
fn home(visitor: &Visitor) -> Result<Response, PageError> {
    let memberships = visitor.me.memberships.first().map(|membership| &membership.tenant_id);
    let tenant = visitor.me.tenant_id.as_ref().or(memberships).ok_or_else(PageError::not_found)?;
    Ok(Redirect::to(&format!("/t/{}", segment(tenant))).into_response())
}

/// Each tenant with what it has in the queue.
pub(crate) async fn with_counts(visitor: &Visitor, tenants: Vec<Tenant>) -> Result<Vec<TenantRow>, Problem> {
    let rows = tenants.into_iter().map(|tenant| async {
        let path = segment(&tenant.id);
        let found: JobPage = visitor.api.get(&format!("/tenants/{path}/jobs?limit=1")).await?;
        let (counts, totals) = (found.counts.unwrap_or_default(), found.totals.unwrap_or_default());
        Ok(TenantRow { tenant, path, counts, totals })
    });
    let rows: Vec<_> = stream::iter(rows).buffered(AT_ONCE).collect().await;
    rows.into_iter().collect()
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        scheduled: a.scheduled + b.scheduled,
        available: a.available + b.available,
        active: a.active + b.active,
        retryable: a.retryable + b.retryable,
        parked: a.parked + b.parked,
        discarded: a.discarded + b.discarded,
        quarantined: a.quarantined + b.quarantined,
    }
}

fn needs(rows: &[TenantRow], lanes: &LanePage) -> Vec<Need> {
    let mut needs = Vec::new();
    for lane in lanes.lanes.iter().filter(|lane| lane.workers == 0 && lane.ready_tenants > 0) {
        let text = format!(
            "No worker runs {}: jobs of {} tenants wait for one",
            lane.name,
            number(lane.ready_tenants)
        );
        needs.push(Need { tone: "bad", text, href: "/workers".to_owned() });
    }
    for row in rows {
        let (name, path) = (&row.tenant.name, &row.path);
        if row.counts.quarantined > 0 {
            let text = format!("{name}: {} in quarantine", number(row.counts.quarantined));
            needs.push(Need { tone: "bad", text, href: format!("/t/{path}/quarantine") });
        }
        if row.counts.discarded > 0 {
            let text = format!("{name}: {} dead letters", number(row.counts.discarded));
            needs.push(Need { tone: "bad", text, href: format!("/t/{path}/dead-letters") });
        }
        if row.counts.parked > 0 {
            let text = format!("{name}: {} parked", number(row.counts.parked));
            needs.push(Need { tone: "warn", text, href: format!("/t/{path}/jobs?state=parked") });
        }
    }
    needs
}
