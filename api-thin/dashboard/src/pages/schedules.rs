//! The schedules of a knowledge base.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use crate::Dashboard;
use crate::api::segment;
use crate::contract::{Schedule, SchedulePage, Time};
use crate::frame::{Frame, PageError, page};
use crate::session::{self, Visitor};
use crate::wording::{exact, moment};

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    frame: Frame,
    kb: String,
    rows: Vec<Row>,
    manages: bool,
    /// The schedule to edit, whose fields the form shows.
    edited: Option<Edited>,
}

struct Edited {
    name: String,
    cron: String,
    time_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    edit: String,
}

struct Row {
    schedule: Schedule,
    next: (String, String),
    last: Option<(String, String)>,
    /// Where to take it over, if it cannot fire or did not when it was due last.
    trouble: Option<Trouble>,
}

impl Row {
    fn is_blocked(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_blocked)
    }
}

struct Trouble {
    text: String,
    /// When it did not fire, exactly and in words.
    at: Option<(String, String)>,
    is_blocked: bool,
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, kb)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/kbs/{}/schedules?limit=1000", segment(&tenant), segment(&kb));
    let found: SchedulePage = visitor.api.get(&path).await?;
    let now = dashboard.now();
    let said = |at| (exact(at), moment(at, now));
    let row = |schedule: Schedule| Row {
        next: said(schedule.next_fire_at),
        last: schedule.last_fire_at.map(said),
        trouble: trouble(&schedule, said),
        schedule,
    };
    let edited = found.schedules.iter().find(|schedule| schedule.name == asked.edit);
    let edited = edited.map(|schedule| Edited {
        name: schedule.name.clone(),
        cron: schedule.cron.clone(),
        time_zone: schedule.time_zone.clone(),
    });
    let template = Schedules {
        edited,
        frame: Frame::of_tenant(&visitor, &tenant, "Schedules", "kbs"),
        kb,
        rows: found.schedules.into_iter().map(row).collect(),
        manages: visitor.me.manages_jobs(),
    };
    Ok(page(&template))
}

fn trouble(schedule: &Schedule, said: impl Fn(Time) -> (String, String)) -> Option<Trouble> {
    let at = schedule.last_skipped.as_ref().map(|skipped| said(skipped.at));
    match (&schedule.blocked, &schedule.last_skipped) {
        (Some(blocked), _) => Some(Trouble { text: blocked.detail.clone(), at, is_blocked: true }),
        (None, Some(skipped)) => Some(Trouble { text: skipped.detail.clone(), at, is_blocked: false }),
        (None, None) => None,
    }
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    csrf: String,
    name: String,
    cron: String,
    time_zone: String,
}

/// Makes or replaces a schedule.
pub(crate) async fn put(
    visitor: Visitor,
    Path((tenant, kb)): Path<(String, String)>,
    parts: Parts,
    Form(wanted): Form<Wanted>,
) -> Result<Response, PageError> {
    visitor.check_csrf(&wanted.csrf)?;
    let (tenant, kb) = (segment(&tenant), segment(&kb));
    let path = format!("/tenants/{tenant}/kbs/{kb}/schedules/{}", segment(wanted.name.trim()));
    let body =
        json!({ "cron": wanted.cron.trim(), "time_zone": wanted.time_zone.trim(), "type": "kb.reindex" });
    visitor.api.change(Method::PUT, &path, Some(&body), "").await?;
    let notice = session::notice(&parts.headers, "The schedule is kept.");
    let back = format!("/t/{tenant}/kbs/{kb}/schedules");
    Ok(([(header::SET_COOKIE, notice)], Redirect::to(&back)).into_response())
}
