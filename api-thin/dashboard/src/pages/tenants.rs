//! The tenants of the installation, for operators.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::overview::{TenantRow, with_counts};
use crate::Dashboard;
use crate::api::with_query;
use crate::contract::TenantPage;
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, moment};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct Asked {
    status: String,
    plan: String,
    /// An id to go to.
    find: String,
    after: String,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct Tenants {
    frame: Frame,
    asked: Asked,
    rows: Vec<(TenantRow, String)>,
    next: Option<String>,
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let after = if asked.find.is_empty() { asked.after.clone() } else { before(&asked.find) };
    let query = [("status", &*asked.status), ("plan", &*asked.plan), ("after", &*after), ("limit", "50")];
    let listed: TenantPage = visitor.api.get(&with_query("/tenants", &query)).await?;
    let here = [("status", &*asked.status), ("plan", &*asked.plan)];
    let next = listed.next.map(|next| with_query("/tenants", &[here[0], here[1], ("after", &next)]));
    let rows = with_counts(&visitor, listed.tenants).await?;
    let age = |row: TenantRow| {
        let age = moment(row.tenant.created_at, dashboard.now());
        (row, age)
    };
    let rows = rows.into_iter().map(age).collect();
    Ok(page(&Tenants { frame: Frame::new(&visitor, "Tenants", "tenants"), asked, rows, next }))
}

/// The id right before those that begin with `start`: lists are sorted by id, and `-` is the least character of one.
fn before(start: &str) -> String {
    let mut id: String = start.trim().to_lowercase();
    let Some(last) = id.pop() else { return id };
    id.push(
        char::from_u32(u32::from(last).saturating_sub(1)).filter(char::is_ascii_alphanumeric).unwrap_or('0'),
    );
    id.push_str("zzzzzzzzzzzzzzzz");
    id.truncate(63);
    id
}
