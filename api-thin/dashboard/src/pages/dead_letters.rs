//! Jobs that will not run by themselves: dead letters, and quarantine.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{Kept, KeptPage, KeptRow};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{exact, moment};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    kb: String,
    batch: String,
    #[serde(rename = "type")]
    kind: String,
    reason_code: String,
    after: String,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct DeadLetters {
    frame: Frame,
    is_quarantine: bool,
    rows: Vec<(KeptRow, String)>,
    next: Option<String>,
    asked: Asked,
    steers: bool,
    manages: bool,
    retry_all: String,
    purge_all: String,
}

pub(crate) async fn list(
    dashboard: State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    kept(dashboard, visitor, tenant, asked, "dead-letters").await
}

pub(crate) async fn quarantine(
    dashboard: State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    kept(dashboard, visitor, tenant, asked, "quarantine").await
}

async fn kept(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    tenant: String,
    asked: Asked,
    place: &'static str,
) -> Result<Response, PageError> {
    let is_quarantine = place == "quarantine";
    let path = format!("/tenants/{}/{place}", segment(&tenant));
    let (kb, batch) = (("kb_id", &*asked.kb), ("batch_id", &*asked.batch));
    let query = [kb, batch, ("after", &*asked.after), ("limit", "50")];
    let found: KeptPage = visitor.api.get(&with_query(&path, &query)).await?;
    let here = format!("/t/{}/{place}", segment(&tenant));
    let named = [("kb", &*asked.kb), ("batch", &*asked.batch)];
    let filter = [&named[..], &[("type", &*asked.kind), ("reason_code", &*asked.reason_code)]].concat();
    let next = found.next.map(|next| with_query(&here, &[&filter[..], &[("after", &next)]].concat()));
    let shown = |job: &KeptRow| {
        let is_asked = |asked: &str, found: &str| asked.is_empty() || asked == found;
        is_asked(&asked.kind, job.kind.as_deref().unwrap_or_default())
            && is_asked(&asked.reason_code, &job.error.code)
    };
    let state = if is_quarantine { "quarantined" } else { "" };
    let act = |action: &str| {
        let path = format!("/t/{}/do/{action}", segment(&tenant));
        with_query(&path, &[&filter[..], &[("state", state), ("back", &here)]].concat())
    };
    let age = |job: KeptRow| {
        let age = moment(job.since, dashboard.now());
        (job, age)
    };
    let template = DeadLetters {
        frame: Frame::of_tenant(
            &visitor,
            &tenant,
            if is_quarantine { "Quarantine" } else { "Dead letters" },
            place,
        ),
        is_quarantine,
        rows: found.jobs.into_iter().filter(shown).map(age).collect(),
        next,
        steers: visitor.me.steers_jobs(),
        manages: visitor.me.manages_jobs(),
        retry_all: act("retry-matching"),
        purge_all: act("purge-matching"),
        asked: Asked { after: String::new(), ..asked },
    };
    Ok(page(&template))
}

#[derive(Template)]
#[template(path = "dead_letter.html")]
struct DeadLetter {
    frame: Frame,
    job: Kept,
    since: Option<(String, String)>,
    /// What the job says, as JSON: shown on demand, for it may hold what only few should read.
    said: Option<String>,
    manages: bool,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/dead-letters/{}", segment(&tenant), segment(&id));
    let job: Kept = visitor.api.get(&path).await?;
    let now = dashboard.now();
    let place = if job.state == "quarantined" { "quarantine" } else { "dead-letters" };
    let template = DeadLetter {
        frame: Frame::of_tenant(&visitor, &tenant, "Dead letter", place),
        since: job.since.map(|at| (exact(at), moment(at, now))),
        said: job.job.as_ref().and_then(|said| serde_json::to_string_pretty(said).ok()),
        manages: visitor.me.manages_jobs(),
        job,
    };
    Ok(page(&template))
}
