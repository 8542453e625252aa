//! The tenants of the installation, for operators: sorted, searched, each with what holds it up and what can be done.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{ListedTenant, Tenant, TenantPage, TenantQueue};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, duration, exact, milliseconds, moment, number, percent};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct Asked {
    status: String,
    plan: String,
    search: String,
    sort: String,
    after: String,
}

impl Asked {
    fn filter(&self) -> [(&'static str, &str); 3] {
        [("status", &self.status), ("plan", &self.plan), ("search", self.search.trim())]
    }

    /// This page in another order, or from another place.
    fn with(&self, sort: &str, after: &str) -> String {
        let [status, plan, search] = self.filter();
        with_query("/tenants", &[status, plan, search, ("sort", sort), ("after", after)])
    }

    fn is_of_queue(&self) -> bool {
        matches!(self.sort.as_str(), "waiting" | "active" | "oldest" | "failed" | "worker_time")
    }
}

/// The orders of the list, as the API calls them and as people do.
const ORDERS: [(&str, &str); 8] = [
    ("name", "name"),
    ("plan", "plan"),
    ("-created_at", "newest first"),
    ("waiting", "most waiting"),
    ("active", "most running"),
    ("oldest", "longest wait"),
    ("failed", "most failures"),
    ("worker_time", "most worker time"),
];

#[derive(Template)]
#[template(path = "tenants.html")]
struct Tenants {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    next: Option<String>,
    /// The columns that can be sorted by: what to click, and whether the list is sorted by it.
    columns: Vec<Column>,
}

struct Column {
    name: &'static str,
    href: Option<String>,
    is_current: bool,
    is_number: bool,
}

/// A tenant, as a row shows it.
pub(crate) struct Row {
    pub(crate) tenant: Tenant,
    pub(crate) path: String,
    pub(crate) queue: TenantQueue,
    /// How it is, in words.
    pub(crate) said: String,
    pub(crate) tone: &'static str,
    /// Of all worker time of the last ten minutes, and how much that was.
    pub(crate) share: String,
    pub(crate) time: String,
    /// Exactly, and from now.
    pub(crate) oldest: Option<(String, String)>,
    pub(crate) age: String,
    pub(crate) actions: Vec<(&'static str, String, bool)>,
}

impl Row {
    pub(crate) fn of(listed: ListedTenant, back: &str, now: DateTime<Utc>) -> Self {
        let ListedTenant { tenant, queue } = listed;
        let (queue, path) = (queue.unwrap_or_default(), segment(&tenant.id));
        let (said, tone) = in_words(&tenant.status, &queue, now);
        let act = |action: &str, rest: &[(&str, &str)]| {
            let pairs = [&[("back", back)], rest].concat();
            with_query(&format!("/t/{path}/do/{action}"), &pairs)
        };
        let cap = queue.cap.map(|cap| cap.to_string()).unwrap_or_default();
        let held = queue.state == "paused" || queue.draining;
        let flow =
            if held { ("Resume", act("resume", &[]), false) } else { ("Pause", act("pause", &[]), false) };
        let drain = (!queue.draining).then(|| ("Drain", act("drain", &[]), false));
        let rest =
            [("Cap", act("cap", &[("cap", &cap)]), false), ("Cancel all", act("cancel-all", &[]), true)];
        let actions = [flow].into_iter().chain(drain).chain(rest).collect();
        Self {
            share: percent(queue.worker_share),
            time: milliseconds(queue.worker_ms),
            oldest: queue.oldest_at.map(|at| (exact(at), duration(now - at))),
            age: moment(tenant.created_at, now),
            actions,
            tenant,
            path,
            queue,
            said,
            tone,
        }
    }
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let mut asked = asked;
    if !ORDERS.iter().any(|(order, _)| *order == asked.sort) {
        "name".clone_into(&mut asked.sort);
    }
    let [status, plan, search] = asked.filter();
    let of = [("sort", &*asked.sort), ("after", &*asked.after), ("queue", "true"), ("limit", "50")];
    let query = [&[status, plan, search], &of[..]].concat();
    let listed: TenantPage = visitor.api.get(&with_query("/tenants", &query)).await?;
    let next = listed.next.map(|next| asked.with(&asked.sort, &next));
    let (back, now) = (asked.with(&asked.sort, ""), dashboard.now());
    let rows = listed.tenants.into_iter().map(|listed| Row::of(listed, &back, now)).collect();
    let columns = columns(&asked);
    Ok(page(&Tenants { frame: Frame::new(&visitor, "Tenants", "tenants"), asked, rows, next, columns }))
}

fn columns(asked: &Asked) -> Vec<Column> {
    let columns = [
        ("Tenant", "name", false),
        ("How it is", "", false),
        ("Plan", "plan", false),
        ("Running", "active", true),
        ("Waiting", "waiting", true),
        ("Oldest", "oldest", true),
        ("Failures", "failed", true),
        ("Weight", "", true),
        ("Worker time", "worker_time", true),
    ];
    let column = |(name, sort, is_number): (&'static str, &str, bool)| Column {
        name,
        href: (!sort.is_empty()).then(|| asked.with(sort, "")),
        is_current: asked.sort == sort,
        is_number,
    };
    columns.into_iter().map(column).collect()
}

/// How a tenant is, in words, and how that is coloured.
pub(crate) fn in_words(status: &str, queue: &TenantQueue, now: DateTime<Utc>) -> (String, &'static str) {
    let (active, waiting) = (number(queue.active), number(queue.waiting));
    let lasting = queue.since.map(|since| now - since).filter(|lasting| lasting.num_seconds() > 0);
    let lasting = lasting.map(|lasting| format!(" for {}", duration(lasting))).unwrap_or_default();
    let (said, tone) = match (status, queue.state.as_str()) {
        ("provisioning", _) => ("being set up".to_owned(), "busy"),
        ("deprovisioning", _) => ("being emptied".to_owned(), "warn"),
        ("suspended", _) | (_, "suspended") => (format!("suspended{lasting}"), "warn"),
        (_, "capped") => match queue.cap {
            Some(cap) => (format!("capped {active}/{}{lasting}", number(cap)), "warn"),
            None => (format!("capped{lasting}"), "warn"),
        },
        (_, "limited") => match queue.limited_until {
            Some(until) => (format!("limited by its rate, goes on {}", moment(until, now)), "warn"),
            None => (format!("limited by its rate{lasting}"), "warn"),
        },
        (_, "paused") => (format!("paused{lasting}"), "warn"),
        _ if queue.active > 0 && queue.waiting > 0 => {
            (format!("{active} run, {waiting} wait{lasting}"), "busy")
        }
        _ if queue.active > 0 => (format!("{active} run"), "busy"),
        (_, "ready") => (format!("{waiting} wait for a worker{lasting}"), "calm"),
        _ if queue.waiting > 0 => (format!("{waiting} wait for their time"), "calm"),
        _ => ("idle".to_owned(), "good"),
    };
    if queue.draining { (format!("draining: {said}"), "warn") } else { (said, tone) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_state_is_said_in_words() {
        let now: DateTime<Utc> = "2027-01-15T12:00:00Z".parse().unwrap();
        let queue = |state: &str, active, waiting| TenantQueue {
            state: state.to_owned(),
            since: Some(now - TimeDelta::minutes(12)),
            active,
            waiting,
            cap: Some(4),
            ..TenantQueue::default()
        };
        for (status, queue, said) in [
            ("active", queue("capped", 4, 9), "capped 4/4 for 12 min"),
            ("active", queue("ready", 2, 9), "2 run, 9 wait for 12 min"),
            ("active", queue("ready", 0, 9), "9 wait for a worker for 12 min"),
            ("active", TenantQueue { since: None, ..queue("idle", 2, 0) }, "2 run"),
            ("active", queue("paused", 0, 3), "paused for 12 min"),
            ("suspended", queue("suspended", 0, 3), "suspended for 12 min"),
            ("active", TenantQueue { draining: true, ..queue("idle", 1, 0) }, "draining: 1 run"),
            (
                "active",
                TenantQueue { limited_until: Some(now + TimeDelta::seconds(3)), ..queue("limited", 0, 3) },
                "limited by its rate, goes on in 3 s",
            ),
            ("provisioning", TenantQueue::default(), "being set up"),
            ("active", TenantQueue::default(), "idle"),
        ] {
            assert_eq!(in_words(status, &queue, now).0, said);
        }
    }
}
