//! The open jobs of a tenant by filter, and one job: where it is, why it waits, what became of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{Counts, Job, JobPage, JobRow};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, exact, moment};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    state: String,
    #[serde(rename = "type")]
    kind: String,
    queue: String,
    kb: String,
    /// The id of a job to go to.
    id: String,
    after: String,
}

impl Asked {
    fn pairs(&self) -> [(&'static str, &str); 4] {
        [("state", &self.state), ("type", &self.kind), ("queue", &self.queue), ("kb", &self.kb)]
    }

    fn is_filter(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct Jobs {
    frame: Frame,
    asked: Asked,
    counts: Option<Counts>,
    rows: Vec<(JobRow, String)>,
    next: Option<String>,
    cancel: Option<String>,
}

pub(crate) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let id = asked.id.trim();
    if !id.is_empty() {
        return show(State(dashboard), visitor, Path((tenant, id.to_owned()))).await;
    }
    let path = format!("/tenants/{}/jobs", segment(&tenant));
    let [state, kind, queue, (_, kb)] = asked.pairs();
    let query = [state, kind, queue, ("kb_id", kb), ("after", &asked.after), ("limit", "50")];
    let found: JobPage = visitor.api.get(&with_query(&path, &query)).await?;
    let here = format!("/t/{}/jobs", segment(&tenant));
    let next = found.next.map(|next| with_query(&here, &[state, kind, queue, ("kb", kb), ("after", &next)]));
    let back = with_query(&here, &asked.pairs());
    let cancel = (visitor.me.manages_jobs() && asked.is_filter() && !found.jobs.is_empty()).then(|| {
        with_query(
            &format!("/t/{}/do/cancel-matching", segment(&tenant)),
            &[state, kind, queue, ("kb", kb), ("back", &back)],
        )
    });
    let age = |job: JobRow| {
        let age = moment(job.created_at, dashboard.now());
        (job, age)
    };
    let template = Jobs {
        frame: Frame::of_tenant(&visitor, &tenant, "Jobs", "jobs"),
        counts: found.counts,
        rows: found.jobs.into_iter().map(age).collect(),
        next,
        cancel,
        asked,
    };
    Ok(page(&template))
}

#[derive(Template)]
#[template(path = "job.html")]
struct OneJob {
    frame: Frame,
    job: Job,
    /// What happened when, exactly and from now.
    timeline: Vec<(&'static str, String, String)>,
    can_cancel: bool,
    can_retry: bool,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let job: Job = visitor.api.get(&format!("/tenants/{}/jobs/{}", segment(&tenant), segment(&id))).await?;
    let moments = [
        ("Accepted", job.created_at),
        ("Runs at", job.scheduled_at),
        ("Started", job.started_at),
        ("Started again as a dead letter", job.redriven.as_ref().map(|redriven| redriven.last_at)),
        ("Ended", job.finished_at),
    ];
    let mut timeline: Vec<_> = moments.into_iter().filter_map(|(what, at)| at.map(|at| (what, at))).collect();
    timeline.sort_by_key(|(_, at)| *at);
    let now = dashboard.now();
    let timeline = timeline.into_iter().map(|(what, at)| (what, exact(at), moment(at, now))).collect();
    let is_open = matches!(job.state.as_str(), "scheduled" | "available" | "active" | "retryable" | "parked");
    let is_kept = matches!(job.state.as_str(), "discarded" | "quarantined");
    let template = OneJob {
        frame: Frame::of_tenant(&visitor, &tenant, "Job", "jobs"),
        timeline,
        can_cancel: is_open && visitor.me.manages_jobs(),
        can_retry: is_kept && visitor.me.manages_jobs(),
        job,
    };
    Ok(page(&template))
}
