//! The open jobs of a tenant by filter, and one job: where it is, why it waits, what became of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::Dashboard;
use crate::api::{segment, with_query};
use crate::contract::{Child, Children, Counts, Job, JobPage, JobRow, Kept, Wait};
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
    priority: String,
    lane: String,
    kb: String,
    batch: String,
    /// A time in UTC, as a browser's field gives it.
    from: String,
    until: String,
    /// The id of a job to go to.
    id: String,
    after: String,
}

impl Asked {
    fn pairs(&self) -> [(&'static str, &str); 9] {
        [
            ("state", &self.state),
            ("type", &self.kind),
            ("queue", &self.queue),
            ("priority", &self.priority),
            ("lane", &self.lane),
            ("kb", &self.kb),
            ("batch", &self.batch),
            ("from", &self.from),
            ("until", &self.until),
        ]
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
    let [state, kind, queue, priority, lane, kb, batch, from, until] = asked.pairs();
    let (after, before) = (moment_of(from.1), moment_of(until.1));
    let times = [("created_after", &*after), ("created_before", &*before)];
    let of = [("kb_id", kb.1), ("batch_id", batch.1), ("after", &asked.after), ("limit", "50")];
    let query = [&[state, kind, queue, priority, lane], &of[..], &times].concat();
    let found: JobPage = visitor.api.get(&with_query(&path, &query)).await?;
    let here = format!("/t/{}/jobs", segment(&tenant));
    let next = found.next.map(|next| with_query(&here, &[&asked.pairs()[..], &[("after", &next)]].concat()));
    let back = with_query(&here, &asked.pairs());
    let cancel = (visitor.me.steers_jobs() && asked.is_filter() && !found.jobs.is_empty()).then(|| {
        with_query(
            &format!("/t/{}/do/cancel-matching", segment(&tenant)),
            &[&[state, kind, queue, priority, lane, kb, batch, ("back", &back)], &times[..]].concat(),
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

/// What a field for a time in UTC holds, as the API takes it; empty for nothing, or nonsense.
pub(crate) fn moment_of(field: &str) -> String {
    let read = chrono::NaiveDateTime::parse_from_str(field.trim(), "%Y-%m-%dT%H:%M");
    read.map_or_else(|_| field.trim().to_owned(), |at| at.and_utc().to_rfc3339())
}

#[derive(Template)]
#[template(path = "job.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is what the template shows or leaves out")]
struct OneJob {
    frame: Frame,
    job: Job,
    /// What happened when, exactly and from now.
    timeline: Vec<(&'static str, String, String)>,
    can_cancel: bool,
    can_reschedule: bool,
    can_retry: bool,
    /// What the job is to do, for those who may know; hidden until asked for.
    said: Option<String>,
    /// Attempts beside those that failed: workers lost, and stops.
    kept: Option<Kept>,
    children: Vec<(Child, String)>,
    has_more_children: bool,
    hints: Vec<(Wait, &'static str)>,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}", segment(&tenant));
    let (job_path, family_path) =
        (format!("{path}/jobs/{}", segment(&id)), format!("{path}/jobs/{}/children", segment(&id)));
    let (mut job, children) =
        tokio::try_join!(visitor.api.get::<Job>(&job_path), visitor.api.get::<Children>(&family_path))?;
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
    let waits_for_a_time = matches!(job.state.as_str(), "scheduled" | "retryable");
    let is_kept = is_kept(&job.state);
    let kept = if is_kept && visitor.me.manages_jobs() {
        visitor.api.get::<Kept>(&format!("{path}/dead-letters/{}", segment(&id))).await.ok()
    } else {
        None
    };
    let said = kept.as_ref().and_then(|kept| serde_json::to_string_pretty(kept.job.as_ref()?).ok());
    let age = |child: Child| {
        let age = moment(child.finished_at.unwrap_or(child.created_at), now);
        (child, age)
    };
    let template = OneJob {
        frame: Frame::of_tenant(&visitor, &tenant, "Job", "jobs"),
        timeline,
        can_cancel: is_open(&job.state) && visitor.me.steers_jobs(),
        can_reschedule: waits_for_a_time && visitor.me.steers_jobs(),
        can_retry: is_kept && visitor.me.steers_jobs(),
        said,
        kept,
        has_more_children: !children.complete,
        children: children.jobs.into_iter().map(age).collect(),
        hints: with_help(std::mem::take(&mut job.waits_for)),
        job,
    };
    Ok(page(&template))
}

/// Whether a job in this state waits or runs.
pub(crate) fn is_open(state: &str) -> bool {
    matches!(state, "scheduled" | "available" | "active" | "retryable" | "parked")
}

/// Whether a job in this state is a dead letter or in quarantine: it can be started again.
pub(crate) fn is_kept(state: &str) -> bool {
    matches!(state, "discarded" | "quarantined")
}

/// What a job waits for, each with what would help.
pub(crate) fn with_help(waits: Vec<Wait>) -> Vec<(Wait, &'static str)> {
    let with_hint = |wait: Wait| {
        let hint = help_for(&wait.code);
        (wait, hint)
    };
    waits.into_iter().map(with_hint).collect()
}

fn help_for(code: &str) -> &'static str {
    match code {
        "scheduled" | "retry" | "service" | "parked" => "It goes on by itself then.",
        "tenant_suspended" => "The operator can lift the suspension.",
        "tenant_paused" | "tenant_queue_paused" => "Resume the tenant, or its queue.",
        "queue_paused" => "The operator can resume the queue.",
        "no_worker" => "Start a worker that runs this type and version.",
        "cap" => "It starts when one of these ends; the operator can raise the cap.",
        "type_cap" => "It starts when one of these ends; the operator can raise the cap of the type.",
        "rate" => "It goes on by itself then; the operator can raise the rate.",
        "jobs_ahead" => "Cancel jobs before it that are not needed, or wait.",
        "turn" | "bulk" => "It comes up by itself; a higher cap makes the turns shorter.",
        "tenants_ahead" => "More workers would help, or a larger weight.",
        "free_worker" => "More workers would help, or more jobs at once for each.",
        "delivery" => "Look whether Redis answers: a worker delivers it then.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_utc() {
        assert_eq!(moment_of("2027-01-15T08:30"), "2027-01-15T08:30:00+00:00");
        assert_eq!(moment_of(" 2027-01-15T08:30:00Z"), "2027-01-15T08:30:00Z");
        assert_eq!(moment_of(""), "");
    }
}
