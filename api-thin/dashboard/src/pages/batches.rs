//! Batches: what one request, or one folder, brought in, with one progress and one end.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{Batch, BatchPage, BatchReport};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, duration, exact, moment};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    after: String,
}

#[derive(Template)]
#[template(path = "batches.html")]
struct Batches {
    frame: Frame,
    rows: Vec<(Batch, String)>,
    next: Option<String>,
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/batches", segment(&tenant));
    let query = [("after", &*asked.after), ("limit", "50")];
    let found: BatchPage = visitor.api.get(&with_query(&path, &query)).await?;
    let here = format!("/t/{}/batches", segment(&tenant));
    let age = |batch: Batch| {
        let age = batch.created_at.map(|at| moment(at, dashboard.now())).unwrap_or_default();
        (batch, age)
    };
    let template = Batches {
        frame: Frame::of_tenant(&visitor, &tenant, "Batches", "batches"),
        next: found.next.map(|next| with_query(&here, &[("after", &next)])),
        rows: found.batches.into_iter().map(age).collect(),
    };
    Ok(page(&template))
}

#[derive(Template)]
#[template(path = "batch.html")]
struct OneBatch {
    frame: Frame,
    report: BatchReport,
    /// When it began, exactly and from now.
    began: Option<(String, String)>,
    /// When it may be done, from now.
    left: Option<String>,
    can_cancel: bool,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, batch)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/batches/{}", segment(&tenant), segment(&batch));
    let report: BatchReport = visitor.api.get(&path).await?;
    let seconds = report.estimate.as_ref().and_then(|estimate| estimate.seconds);
    let template = OneBatch {
        frame: Frame::of_tenant(&visitor, &tenant, "Batch", "batches"),
        began: report.batch.created_at.map(|at| (exact(at), moment(at, dashboard.now()))),
        left: seconds.and_then(TimeDelta::try_seconds).map(duration),
        can_cancel: report.batch.state == "active" && visitor.me.manages_jobs(),
        report,
    };
    Ok(page(&template))
}
