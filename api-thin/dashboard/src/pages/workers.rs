//! The worker processes, which job types they run, and which none does.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::Dashboard;
use crate::api::with_query;
use crate::contract::{NotFetching, Skill, SkillPage, Worker, WorkerPage, WorkerSlots};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, exact, moment, number};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    after: String,
}

#[derive(Template)]
#[template(path = "workers.html")]
struct Workers {
    frame: Frame,
    processes: Vec<Row>,
    next: Option<String>,
    skills: Vec<Skill>,
    /// Types with work that no worker runs.
    without_worker: usize,
}

/// A worker process, as it is shown.
struct Row {
    worker: Worker,
    started: (String, String),
    /// How many of its slots for jobs, and for webhooks, are taken.
    slots: [String; 2],
    /// Where it is told to claim jobs, or none.
    action: String,
    /// Why it claims none, and since when exactly.
    rests: Option<(String, String)>,
}

impl Row {
    fn of(worker: Worker, now: DateTime<Utc>) -> Self {
        let name = if worker.not_fetching.is_some() { "resume-fetching" } else { "stop-fetching" };
        let action = with_query(&format!("/do/{name}"), &[("worker", &worker.id), ("back", "/workers")]);
        let rests = worker.not_fetching.as_ref().map(|rests| (said(rests, now), exact(rests.since)));
        let slots = ["jobs", "webhooks"].map(|name| taken(worker.slots.get(name)));
        let started = (exact(worker.started_at), moment(worker.started_at, now));
        Self { worker, started, slots, action, rests }
    }
}

fn taken(slots: Option<&WorkerSlots>) -> String {
    let said = |slots: &WorkerSlots| format!("{} of {}", number(slots.in_flight), number(slots.slots));
    slots.map_or_else(|| "none".to_owned(), said)
}

fn said(NotFetching { since, by, reason }: &NotFetching, now: DateTime<Utc>) -> String {
    let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("since {} by {by}{why}", moment(*since, now))
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let query = [("after", &*asked.after), ("limit", "50")];
    let workers = with_query("/workers", &query);
    let (workers, skills) = tokio::try_join!(
        visitor.api.get::<WorkerPage>(&workers),
        visitor.api.get::<SkillPage>("/skills?limit=1000")
    )?;
    let frame = Frame::new(&visitor, "Workers", "workers");
    let without_worker = skills.skills.iter().filter(|skill| lacks_worker(skill)).count();
    let now = dashboard.now();
    Ok(page(&Workers {
        frame,
        next: workers.next.map(|next| with_query("/workers", &[("after", &next)])),
        processes: workers.workers.into_iter().map(|worker| Row::of(worker, now)).collect(),
        skills: skills.skills,
        without_worker,
    }))
}

/// Whether jobs of the type wait for a worker that runs them.
fn lacks_worker(skill: &Skill) -> bool {
    skill.workers == 0 && skill.ready_tenants > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_without_work_needs_no_worker() {
        let skill =
            |workers, ready_tenants| Skill { name: "a@1".into(), queue: "q".into(), workers, ready_tenants };
        assert!(lacks_worker(&skill(0, 3)));
        assert!(!lacks_worker(&skill(0, 0)) && !lacks_worker(&skill(2, 3)));
    }

    #[test]
    fn why_a_worker_rests_is_said_with_and_without_a_reason() {
        let now: DateTime<Utc> = "2027-01-15T08:10:00Z".parse().unwrap();
        let rests = |reason: Option<&str>| NotFetching {
            since: "2027-01-15T08:00:00Z".parse().unwrap(),
            by: "operator".into(),
            reason: reason.map(str::to_owned),
        };
        assert_eq!(said(&rests(None), now), "since 10 min ago by operator");
        assert_eq!(said(&rests(Some("a new version")), now), "since 10 min ago by operator: a new version");
    }
}
