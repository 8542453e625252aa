//! The audit log: of a tenant, and for operators of the whole installation.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{AuditEntry, AuditPage};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{exact, moment};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    actor: String,
    action: String,
    after: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditLog {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    entry: AuditEntry,
    at: String,
    ago: String,
    /// What it was done to, as the path of the request named it, with the page of what was made.
    target: Vec<(String, Option<String>)>,
    /// Whether the API did it.
    is_done: bool,
}

/// The log of one tenant.
pub(crate) async fn of_tenant(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let frame = Frame::of_tenant(&visitor, &tenant, "Audit log", "audit");
    let (path, here) =
        (format!("/tenants/{}/audit", segment(&tenant)), format!("/t/{}/audit", segment(&tenant)));
    show(&dashboard, &visitor, frame, (path, here), asked).await
}

/// The log of all tenants.
pub(crate) async fn of_all(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let frame = Frame::new(&visitor, "Audit log", "audit-all");
    show(&dashboard, &visitor, frame, ("/audit".to_owned(), "/audit".to_owned()), asked).await
}

async fn show(
    dashboard: &Dashboard,
    visitor: &Visitor,
    frame: Frame,
    (path, here): (String, String),
    asked: Asked,
) -> Result<Response, PageError> {
    let filter = [("actor", &*asked.actor), ("action", &*asked.action)];
    let query = [filter[0], filter[1], ("after", &asked.after), ("limit", "50")];
    let found: AuditPage = visitor.api.get(&with_query(&path, &query)).await?;
    let next = found.next.map(|next| with_query(&here, &[filter[0], filter[1], ("after", &next)]));
    let now = dashboard.now();
    let row = |entry: AuditEntry| Row {
        at: exact(entry.at),
        ago: moment(entry.at, now),
        target: entry.target.iter().map(|(name, value)| said(name, value)).collect(),
        is_done: entry.status.is_some_and(|status| status < 400),
        entry,
    };
    let rows = found.entries.into_iter().map(row).collect();
    Ok(page(&AuditLog { frame, asked, rows, next }))
}

/// A part of a target in words. What was made is named by the address that the API gave it: a tenant or a job has a
/// page here.
fn said(name: &str, value: &str) -> (String, Option<String>) {
    let made = (name == "location").then(|| value.strip_prefix("/api/v1/tenants/")).flatten();
    match made.map(|made| made.split('/').collect::<Vec<_>>()).as_deref() {
        Some([tenant]) => (format!("tenant {tenant}"), Some(format!("/t/{tenant}"))),
        Some([tenant, "jobs", job]) => (format!("job {job}"), Some(format!("/t/{tenant}/jobs/{job}"))),
        _ => (format!("{name} {value}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_leads_to_its_page() {
        let page = |name, value| said(name, value).1;
        assert_eq!(page("location", "/api/v1/tenants/acme/jobs/1").as_deref(), Some("/t/acme/jobs/1"));
        assert_eq!(page("location", "/api/v1/tenants/acme").as_deref(), Some("/t/acme"));
        assert_eq!(said("kb", "default"), ("kb default".to_owned(), None));
        assert_eq!(page("location", "https://evil.example/api/v1/tenants/acme"), None);
        assert_eq!(page("name", "/api/v1/tenants/acme"), None);
    }
}
