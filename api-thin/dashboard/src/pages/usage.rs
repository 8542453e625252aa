//! What a tenant uses of what its plan allows.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::Dashboard;
use crate::api::segment;
use crate::contract::{Quota, Usage};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{bytes, moment, number};

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    frame: Frame,
    plan: String,
    derived: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    current: String,
    maximum: Option<String>,
    /// 0 to 100.
    percent: u64,
    tone: &'static str,
    resets: Option<String>,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
) -> Result<Response, PageError> {
    let usage: Usage = visitor.api.get(&format!("/tenants/{}/usage", segment(&tenant))).await?;
    let row = |(name, quota): (String, Quota)| {
        let said = |amount| if quota.unit == "bytes" { bytes(amount) } else { number(amount) };
        let percent =
            quota.maximum.map_or(0, |most| (quota.current * 100).checked_div(most).unwrap_or(100).min(100));
        Row {
            name: name.replace('_', " "),
            current: said(quota.current),
            maximum: quota.maximum.map(said),
            percent,
            tone: if percent >= 100 {
                "bad"
            } else if percent >= 80 {
                "warn"
            } else {
                "good"
            },
            resets: quota.resets_at.map(|at| moment(at, dashboard.now())),
        }
    };
    let template = UsagePage {
        frame: Frame::of_tenant(&visitor, &tenant, "Plan and usage", "usage"),
        plan: usage.plan,
        derived: bytes(usage.derived_bytes),
        rows: usage.quotas.into_iter().map(row).collect(),
    };
    Ok(page(&template))
}
