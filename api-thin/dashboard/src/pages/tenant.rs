//! One tenant: how it is, what it has in the queue, and what can be done about it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::Dashboard;
use crate::api::segment;
use crate::chart::Chart;
use crate::charts;
use crate::contract::{Activity, Counts, JobPage, Tenant, TenantLimits, Totals};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, moment, number};

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantOverview {
    frame: Frame,
    tenant: Tenant,
    created: String,
    counts: Counts,
    totals: Totals,
    /// How it is, in a sentence.
    said: String,
    said_tone: &'static str,
    weight: u64,
    cap: Option<u64>,
    active: u64,
    backlog: u64,
    waiting_for_a_worker: Vec<(String, u64)>,
    steers_jobs: bool,
    /// Its worker time, and what became of its jobs.
    charts: Vec<Chart>,
    manages_tenant: bool,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}", segment(&id));
    let (limits_path, jobs_path) = (format!("{path}/limits"), format!("{path}/jobs?limit=1"));
    let activity_path = format!("{path}/activity");
    let (tenant, limits, jobs, activity) = tokio::try_join!(
        visitor.api.get::<Tenant>(&path),
        visitor.api.get::<TenantLimits>(&limits_path),
        visitor.api.get::<JobPage>(&jobs_path),
        visitor.api.get::<Activity>(&activity_path),
    )?;
    let mut charts = charts::of_hour(&activity);
    charts.push(charts::of_one(&activity));
    let counts = jobs.counts.unwrap_or_default();
    let cap = limits.number("cap").filter(|cap| *cap > 0);
    let (said, said_tone) = how(&tenant, &counts, cap, !jobs.waiting_for_a_worker.is_empty());
    let template = TenantOverview {
        frame: Frame::of_tenant(&visitor, &id, tenant.name.clone(), "tenant"),
        created: moment(tenant.created_at, dashboard.now()),
        tenant,
        counts,
        totals: jobs.totals.unwrap_or_default(),
        said,
        said_tone,
        weight: limits.number("weight").unwrap_or(1),
        cap,
        active: limits.usage.active,
        backlog: limits.usage.backlog_jobs,
        waiting_for_a_worker: jobs.waiting_for_a_worker.into_iter().collect(),
        steers_jobs: visitor.me.steers_jobs(),
        charts,
        manages_tenant: visitor.me.manages_tenant(),
    };
    Ok(page(&template))
}

/// What keeps the tenant's jobs waiting, or that nothing does.
fn how(tenant: &Tenant, counts: &Counts, cap: Option<u64>, lacks_workers: bool) -> (String, &'static str) {
    match tenant.status.as_str() {
        "suspended" => return ("Suspended: members and keys are refused, jobs wait.".to_owned(), "warn"),
        "deprovisioning" => return ("Being emptied: it is gone when that is done.".to_owned(), "warn"),
        "provisioning" => return ("Being set up: that takes a moment.".to_owned(), "busy"),
        _ => {}
    }
    if let Some(cap) = cap.filter(|cap| counts.active >= *cap && counts.available > 0) {
        return (
            format!(
                "Capped: {} of {} run, {} more wait for one to end.",
                number(counts.active),
                number(cap),
                number(counts.available)
            ),
            "warn",
        );
    }
    if lacks_workers {
        return ("Some jobs wait for a worker that runs their type.".to_owned(), "bad");
    }
    match (counts.active, counts.waiting()) {
        (0, 0) => ("Nothing to do.".to_owned(), "good"),
        (0, waiting) => (format!("{} wait.", number(waiting)), "calm"),
        (active, 0) => (format!("{} run, nothing waits.", number(active)), "busy"),
        (active, waiting) => (format!("{} run, {} wait.", number(active), number(waiting)), "busy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_described_in_words() {
        let tenant = |status: &str| Tenant {
            id: "a".into(),
            name: "A".into(),
            plan: "free".into(),
            status: status.into(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let counts = Counts { active: 4, available: 9, ..Counts::default() };
        assert_eq!(
            how(&tenant("active"), &counts, Some(4), false).0,
            "Capped: 4 of 4 run, 9 more wait for one to end."
        );
        assert_eq!(how(&tenant("active"), &counts, None, false).0, "4 run, 9 wait.");
        assert!(how(&tenant("suspended"), &counts, Some(4), false).0.starts_with("Suspended"));
        assert_eq!(how(&tenant("active"), &Counts::default(), Some(4), false).0, "Nothing to do.");
    }
}
