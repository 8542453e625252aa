//! Everything that a person can do on a page, in one table. An action first says what it will touch and asks, takes a
//! reason, and then is one request to the API, which writes the audit log.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Problem, segment, with_query};
use crate::contract::{BatchReport, JobPage, KeptPage, Worker};
use crate::frame::{Frame, PageError, page};
use crate::pages::jobs::moment_of;
use crate::session::{self, Visitor};
use crate::wording::number;

/// How many jobs are counted before an action on a filter: a page of the API.
const COUNTED: usize = 1000;

/// What an action is about, from the link that leads to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Target {
    job: String,
    kb: String,
    document: String,
    batch: String,
    schedule: String,
    worker: String,
    queue: String,
    state: String,
    priority: String,
    lane: String,
    #[serde(rename = "type")]
    kind: String,
    reason_code: String,
    /// Moments, for jobs.
    created_after: String,
    created_before: String,
    /// The status of documents.
    status: String,
    cap: String,
    /// The new time of a job, in UTC; empty is now.
    time: String,
    /// The page to come back to.
    back: String,
}

impl Target {
    /// The filter as the API takes it in a body.
    fn filter(&self) -> Value {
        let mut filter = json!({});
        let lists = [
            ("types", &self.kind),
            ("queues", &self.queue),
            ("states", &self.state),
            ("priorities", &self.priority),
        ];
        for (name, value) in lists {
            if !value.is_empty() {
                filter[name] = value.split(',').collect();
            }
        }
        let named = [
            ("lane", &self.lane),
            ("kb_id", &self.kb),
            ("batch_id", &self.batch),
            ("reason_code", &self.reason_code),
            ("created_after", &self.created_after),
            ("created_before", &self.created_before),
        ];
        for (name, value) in named {
            if !value.is_empty() {
                filter[name] = json!(value);
            }
        }
        filter
    }

    /// The filter as a list of open jobs takes it.
    fn query(&self) -> [(&'static str, &str); 9] {
        [
            ("state", &self.state),
            ("type", &self.kind),
            ("queue", &self.queue),
            ("priority", &self.priority),
            ("lane", &self.lane),
            ("kb_id", &self.kb),
            ("batch_id", &self.batch),
            ("created_after", &self.created_after),
            ("created_before", &self.created_before),
        ]
    }

    /// The filter in words.
    fn filter_in_words(&self) -> String {
        let named = [
            ("type", &self.kind),
            ("queue", &self.queue),
            ("state", &self.state),
            ("priority", &self.priority),
            ("lane", &self.lane),
            ("knowledge base", &self.kb),
            ("batch", &self.batch),
            ("reason", &self.reason_code),
            ("made from", &self.created_after),
            ("made before", &self.created_before),
        ];
        let parts: Vec<_> = named
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
    }

    /// The time as the API takes it. Empty is a time that has passed.
    fn moment(&self) -> String {
        if self.time.trim().is_empty() { DateTime::UNIX_EPOCH.to_rfc3339() } else { moment_of(&self.time) }
    }

    /// The path to come back to, if it is one of ours.
    fn back(&self, tenant: Option<&str>) -> String {
        let ours = ["/t/", "/tenants", "/overview", "/workers"];
        let begins = ours.iter().any(|begin| self.back.starts_with(begin));
        let is_local = begins && !self.back.contains(['\\', '\r', '\n', '\t']);
        match tenant {
            _ if is_local => self.back.clone(),
            Some(tenant) => format!("/t/{}", segment(tenant)),
            None => "/workers".to_owned(),
        }
    }
}

macro_rules! actions {
    ($($action:ident $name:literal $button:literal $danger:literal $title:literal, $consequence:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Action { $($action,)+ }

        impl Action {
            fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$action),)+ _ => None }
            }

            fn button(self) -> &'static str {
                match self { $(Self::$action => $button,)+ }
            }

            /// Whether what it ends does not come back.
            fn is_dangerous(self) -> bool {
                match self { $(Self::$action => $danger,)+ }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$action => $title,)+ }
            }

            fn consequence(self) -> &'static str {
                match self { $(Self::$action => $consequence,)+ }
            }

            /// Whether it is about a worker; all others are about a tenant.
            fn is_of_worker(self) -> bool {
                matches!(self, Self::StopFetching | Self::ResumeFetching)
            }
        }
    };
}

actions! {
    Pause "pause" "Pause" false "Pause all jobs of this tenant",
        "Nothing of the tenant starts until you resume it. What runs goes on to its end; new jobs are taken and wait.";
    Resume "resume" "Resume" false "Resume the jobs of this tenant", "Ends a pause or a drain: what waits may start.";
    Drain "drain" "Drain" false "Drain this tenant", "What is there runs to its end, and new jobs are refused until you resume it.";
    CancelAll "cancel-all" "Cancel everything" true "Cancel every job of this tenant",
        "All that waits is cancelled and all that runs is stopped. Documents that were on their way are marked as failed. This cannot be undone.";
    Suspend "suspend" "Suspend" true "Suspend this tenant",
        "Its members and keys are refused, and its jobs wait, until you lift the suspension.";
    Unsuspend "unsuspend" "Lift the suspension" false "Lift the suspension of this tenant", "Its members and keys are let in again, and its jobs go on.";
    Cap "cap" "Change the cap" false "Change how many jobs run at once", "Counts at once, also for what is queued already. 0 is no limit; empty is what the plan says.";
    CancelJob "cancel-job" "Cancel the job" true "Cancel this job",
        "If it waits it is gone; if it runs it is stopped within a second. Its document is marked as failed.";
    Reschedule "reschedule" "Reschedule" false "Give this job another time",
        "It waits until then, in UTC; left empty, it may start at once. Its attempts stay as they are.";
    CancelMatching "cancel-matching" "Cancel these jobs" true "Cancel the jobs of this filter",
        "Up to 5,000 at once. Documents that were on their way are marked as failed. This cannot be undone.";
    Retry "retry" "Retry" false "Start this job again", "It gets all of its attempts, and its work goes on to the end.";
    RetryMatching "retry-matching" "Retry these jobs" false "Start the jobs of this filter again", "Each gets all of its attempts, and its work goes on to the end.";
    Purge "purge" "Throw away" true "Throw this job away", "It is removed for good.";
    PurgeMatching "purge-matching" "Throw these away" true "Throw the jobs of this filter away", "They are removed for good.";
    PauseQueue "pause-queue" "Pause the queue" false "Pause one queue of this tenant", "Nothing in this queue starts until you resume it.";
    ResumeQueue "resume-queue" "Resume the queue" false "Resume one queue of this tenant", "What waits in this queue may start.";
    Reindex "reindex" "Read again" false "Read every document of this knowledge base again", "One job for each document; the graph stays usable meanwhile.";
    CancelBatch "cancel-batch" "Cancel the batch" true "Cancel this batch",
        "Its documents that are on their way are marked as failed, and nothing more comes into it. This cannot be undone.";
    RetryDocument "retry-document" "Retry" false "Extract the chunks once more that gave nothing",
        "What is in the graph stays there meanwhile. A model is asked about these chunks only.";
    DeleteDocument "delete-document" "Delete the document" true "Delete this document", "Its original, its text and what only it says in the graph are removed.";
    DeleteMatching "delete-documents" "Delete these documents" true "Delete the documents in a status",
        "Their originals, their texts and what only they say in the graph are removed, by one job in the background.";
    Empty "empty-kb" "Delete all documents" true "Delete every document of this knowledge base",
        "All originals, texts and the whole graph are removed, by one job in the background. The knowledge base and its schedules stay.";
    PauseSchedule "pause-schedule" "Pause the schedule" false "Pause this schedule", "It does not fire until you resume it.";
    ResumeSchedule "resume-schedule" "Resume the schedule" false "Resume this schedule", "It fires again, at its next time.";
    RunSchedule "run-schedule" "Run it now" false "Fire this schedule now", "Its next time stays as it is.";
    TakeOver "take-over-schedule" "Take it over" false "Take this schedule over",
        "From now on it fires as you, with what you may do. Its times stay.";
    StopFetching "stop-fetching" "Stop fetching" false "Tell this worker to stop fetching",
        "It claims no more jobs, ends what it has, and stays listed; other workers go on. It lasts until you let it fetch again, or it ends: a restarted worker fetches.";
    ResumeFetching "resume-fetching" "Fetch again" false "Let this worker fetch again", "It claims jobs again, within seconds.";
    DeleteSchedule "delete-schedule" "Delete the schedule" true "Delete this schedule", "It does not fire any more.";
}

/// Asks for nothing but letters that are no path: a tenant's queue.
fn call(action: Action, tenant: Option<&str>, target: &Target) -> (Method, String, Option<Value>) {
    let t = format!("/tenants/{}", segment(tenant.unwrap_or_default()));
    let kb = || format!("{t}/kbs/{}", segment(&target.kb));
    let post = |path: String| (Method::POST, path, None);
    let delete = |path: String| (Method::DELETE, path, None);
    let schedule = |verb: &str| post(format!("{}/schedules/{}{verb}", kb(), segment(&target.schedule)));
    let filtered = |path: String| (Method::POST, path, Some(target.filter()));
    match action {
        Action::Pause => post(format!("{t}/jobs/pause")),
        Action::Resume => post(format!("{t}/jobs/resume")),
        Action::Drain => post(format!("{t}/jobs/drain")),
        Action::CancelAll => post(format!("{t}/jobs/cancel-all")),
        Action::Suspend => post(format!("{t}/suspend")),
        Action::Unsuspend => post(format!("{t}/resume")),
        Action::Cap => {
            let cap = target.cap.trim().parse::<u64>().ok();
            (Method::PATCH, t, Some(json!({ "limits": { "cap": cap } })))
        }
        Action::CancelJob => delete(format!("{t}/jobs/{}", segment(&target.job))),
        Action::Reschedule => {
            let path = format!("{t}/jobs/{}/reschedule", segment(&target.job));
            (Method::POST, path, Some(json!({ "scheduled_at": target.moment() })))
        }
        Action::CancelMatching => filtered(format!("{t}/jobs/cancel")),
        Action::Retry => post(format!("{t}/dead-letters/{}/retry", segment(&target.job))),
        Action::RetryMatching => filtered(format!("{t}/dead-letters/retry")),
        Action::Purge => delete(format!("{t}/dead-letters/{}", segment(&target.job))),
        Action::PurgeMatching => filtered(format!("{t}/dead-letters/purge")),
        Action::PauseQueue => post(format!("{t}/queues/{}/pause", segment(&target.queue))),
        Action::ResumeQueue => post(format!("{t}/queues/{}/resume", segment(&target.queue))),
        Action::Reindex => post(format!("{}/reindex", kb())),
        Action::CancelBatch => post(format!("{t}/batches/{}/cancel", segment(&target.batch))),
        Action::RetryDocument => post(format!("{}/documents/{}/retry", kb(), segment(&target.document))),
        Action::DeleteDocument => delete(format!("{}/documents/{}", kb(), segment(&target.document))),
        Action::DeleteMatching => {
            (Method::POST, format!("{}/documents/delete", kb()), Some(json!({ "status": target.status })))
        }
        Action::Empty => post(format!("{}/empty", kb())),
        Action::PauseSchedule => schedule("/pause"),
        Action::ResumeSchedule => schedule("/resume"),
        Action::RunSchedule => schedule("/run"),
        Action::TakeOver => schedule("/take-over"),
        Action::DeleteSchedule => delete(format!("{}/schedules/{}", kb(), segment(&target.schedule))),
        Action::StopFetching => post(format!("/workers/{}/stop-fetching", segment(&target.worker))),
        Action::ResumeFetching => post(format!("/workers/{}/resume-fetching", segment(&target.worker))),
    }
}

/// What the action will touch, counted now.
async fn touched(
    action: Action,
    api: &Api,
    tenant: Option<&str>,
    target: &Target,
) -> Result<String, Problem> {
    let t = format!("/tenants/{}", segment(tenant.unwrap_or_default()));
    let counted = |found: usize, more: bool| {
        if more { format!("{} jobs or more", number(found as u64)) } else { jobs(found as u64) }
    };
    Ok(match action {
        Action::Pause
        | Action::Resume
        | Action::Drain
        | Action::CancelAll
        | Action::Suspend
        | Action::Unsuspend
        | Action::Cap => {
            let counts = api.get::<JobPage>(&format!("{t}/jobs?limit=1")).await?.counts.unwrap_or_default();
            format!("{} wait, {} run", jobs(counts.waiting()), number(counts.active))
        }
        Action::CancelMatching => {
            let limit = COUNTED.to_string();
            let query = [&target.query()[..], &[("limit", &*limit)]].concat();
            let found: JobPage = api.get(&with_query(&format!("{t}/jobs"), &query)).await?;
            counted(found.jobs.len(), found.next.is_some())
        }
        Action::RetryMatching | Action::PurgeMatching => {
            let list = if target.state == "quarantined" { "quarantine" } else { "dead-letters" };
            let limit = COUNTED.to_string();
            let query = [("kb_id", &*target.kb), ("batch_id", &*target.batch), ("limit", &*limit)];
            let found: KeptPage = api.get(&with_query(&format!("{t}/{list}"), &query)).await?;
            counted(found.jobs.iter().filter(|job| matches(job, target)).count(), found.next.is_some())
        }
        Action::PauseQueue | Action::ResumeQueue => {
            let limit = COUNTED.to_string();
            let found: JobPage = api
                .get(&with_query(&format!("{t}/jobs"), &[("queue", &target.queue), ("limit", &limit)]))
                .await?;
            counted(found.jobs.len(), found.next.is_some())
        }
        Action::Reindex | Action::Empty | Action::DeleteMatching => {
            let kb: crate::contract::Kb = api.get(&format!("{t}/kbs/{}", segment(&target.kb))).await?;
            let concerned =
                if action == Action::DeleteMatching { kb.documents(&target.status) } else { kb.total() };
            format!("{} documents", number(concerned))
        }
        Action::CancelJob | Action::Reschedule | Action::Retry | Action::Purge => "1 job".to_owned(),
        Action::CancelBatch => on_their_way(api, &format!("{t}/batches/{}", segment(&target.batch))).await?,
        Action::RetryDocument | Action::DeleteDocument => "1 document".to_owned(),
        Action::PauseSchedule
        | Action::ResumeSchedule
        | Action::RunSchedule
        | Action::TakeOver
        | Action::DeleteSchedule => "1 schedule".to_owned(),
        Action::StopFetching | Action::ResumeFetching => in_slots(api, &target.worker).await?,
    })
}

/// The documents of a batch that have not ended.
async fn on_their_way(api: &Api, batch: &str) -> Result<String, Problem> {
    let progress = api.get::<BatchReport>(batch).await?.batch.progress;
    Ok(format!("{} documents on their way", number(progress.total.saturating_sub(progress.done))))
}

/// What a worker has.
async fn in_slots(api: &Api, worker: &str) -> Result<String, Problem> {
    let worker: Worker = api.get(&format!("/workers/{}", segment(worker))).await?;
    let slots: u64 = worker.slots.values().map(|slots| slots.slots).sum();
    Ok(format!("{}: {} run, in {} slots", worker.name(), jobs(worker.in_flight()), number(slots)))
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{} jobs", number(count)) }
}

fn matches(job: &crate::contract::KeptRow, target: &Target) -> bool {
    let is_asked = |asked: &str, found: Option<&str>| {
        asked.is_empty() || found.is_some_and(|found| asked.split(',').any(|one| one == found))
    };
    is_asked(&target.kind, job.kind.as_deref()) && is_asked(&target.reason_code, Some(&job.error.code))
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    frame: Frame,
    button: &'static str,
    is_dangerous: bool,
    consequence: &'static str,
    touched: String,
    subject: Option<String>,
    asks_cap: bool,
    asks_time: bool,
    target: Target,
    back: String,
    error: Option<String>,
}

/// Says what the action will touch, and asks.
pub(crate) async fn ask(
    visitor: Visitor,
    Path((tenant, name)): Path<(String, String)>,
    Query(target): Query<Target>,
) -> Result<Response, PageError> {
    asked(&visitor, (&name, Some(&tenant)), target).await
}

/// The same about a worker.
pub(crate) async fn ask_of_worker(
    visitor: Visitor,
    Path(name): Path<String>,
    Query(target): Query<Target>,
) -> Result<Response, PageError> {
    asked(&visitor, (&name, None), target).await
}

async fn asked(
    visitor: &Visitor,
    (name, tenant): (&str, Option<&str>),
    target: Target,
) -> Result<Response, PageError> {
    let action = named(name, tenant)?;
    shown(visitor, (action, tenant), target, None).await.map(|template| page(&template))
}

fn named(name: &str, tenant: Option<&str>) -> Result<Action, PageError> {
    let action = Action::named(name).filter(|action| action.is_of_worker() == tenant.is_none());
    action.ok_or_else(PageError::not_found)
}

async fn shown(
    visitor: &Visitor,
    (action, tenant): (Action, Option<&str>),
    target: Target,
    error: Option<String>,
) -> Result<ActionPage, PageError> {
    let touched = touched(action, &visitor.api, tenant, &target).await?;
    let one = [&target.job, &target.document, &target.schedule, &target.worker, &target.batch]
        .into_iter()
        .find(|name| !name.is_empty())
        .cloned();
    let is_filter = matches!(action, Action::CancelMatching | Action::RetryMatching | Action::PurgeMatching);
    let subject = match action {
        Action::PauseQueue | Action::ResumeQueue => Some(target.queue.clone()),
        Action::Reindex | Action::Empty => Some(target.kb.clone()),
        Action::DeleteMatching => Some(format!("{}: {}", target.kb, target.status)),
        _ if is_filter => Some(target.filter_in_words()),
        _ => one,
    };
    let frame = match tenant {
        Some(tenant) => Frame::of_tenant(visitor, tenant, action.title(), ""),
        None => Frame::new(visitor, action.title(), "workers"),
    };
    Ok(ActionPage {
        frame,
        button: action.button(),
        is_dangerous: action.is_dangerous(),
        consequence: action.consequence(),
        touched,
        subject,
        asks_cap: action == Action::Cap,
        asks_time: action == Action::Reschedule,
        back: target.back(tenant),
        target,
        error,
    })
}

#[derive(Deserialize)]
pub(crate) struct Confirmed {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    reason: String,
    cap: Option<String>,
    time: Option<String>,
}

/// Does it, and comes back with the outcome.
pub(crate) async fn act(
    visitor: Visitor,
    Path((tenant, name)): Path<(String, String)>,
    Query(target): Query<Target>,
    parts: Parts,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, PageError> {
    done(&visitor, (&name, Some(&tenant)), target, (&parts, confirmed)).await
}

/// The same with a worker.
pub(crate) async fn act_on_worker(
    visitor: Visitor,
    Path(name): Path<String>,
    Query(target): Query<Target>,
    parts: Parts,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, PageError> {
    done(&visitor, (&name, None), target, (&parts, confirmed)).await
}

async fn done(
    visitor: &Visitor,
    (name, tenant): (&str, Option<&str>),
    mut target: Target,
    (parts, confirmed): (&Parts, Confirmed),
) -> Result<Response, PageError> {
    visitor.check_csrf(&confirmed.csrf)?;
    let action = named(name, tenant)?;
    target.cap = confirmed.cap.unwrap_or_default();
    target.time = confirmed.time.unwrap_or_default();
    let (method, path, body) = call(action, tenant, &target);
    match visitor.api.change(method, &path, body.as_ref(), confirmed.reason.trim()).await {
        Ok(answer) => {
            let notice = session::notice(&parts.headers, &outcome(action, &answer));
            Ok(([(header::SET_COOKIE, notice)], Redirect::to(&target.back(tenant))).into_response())
        }
        Err(problem) => {
            let error = format!("{}: {} ({})", problem.title, problem.detail, problem.code);
            let template = shown(visitor, (action, tenant), target, Some(error)).await?;
            Ok((axum::http::StatusCode::CONFLICT, page(&template)).into_response())
        }
    }
}

/// What the API says was done, in words.
fn outcome(action: Action, answer: &Value) -> String {
    let count = |field: &str| answer.get(field).and_then(Value::as_u64);
    let mut said = match action {
        Action::Pause => "Paused.".to_owned(),
        Action::Resume => "Resumed.".to_owned(),
        Action::Drain => "Draining.".to_owned(),
        Action::Suspend => "Suspended.".to_owned(),
        Action::Unsuspend => "The suspension is lifted.".to_owned(),
        Action::Cap => "The cap is changed.".to_owned(),
        Action::CancelAll | Action::CancelMatching => {
            let (cancelled, stopping) =
                (count("cancelled").unwrap_or_default(), count("stopping").unwrap_or_default());
            format!("{} cancelled, {} being stopped.", jobs(cancelled), number(stopping))
        }
        Action::CancelJob => match answer["outcome"].as_str() {
            Some("stopping") => "The job is being stopped.".to_owned(),
            Some("kept") => "It is a dead letter already: throw it away there.".to_owned(),
            Some("ended") => "The job had ended already.".to_owned(),
            _ => "The job is cancelled.".to_owned(),
        },
        Action::Reschedule => match answer["outcome"].as_str() {
            Some("not_scheduled") => "The job waits for no time: nothing was changed.".to_owned(),
            Some("ended") => "The job had ended already.".to_owned(),
            _ => "The job has another time.".to_owned(),
        },
        Action::Retry => "The job was started again.".to_owned(),
        Action::RetryMatching => format!("{} started again.", jobs(count("started").unwrap_or_default())),
        Action::Purge => "The job is thrown away.".to_owned(),
        Action::PurgeMatching => format!("{} thrown away.", jobs(count("purged").unwrap_or_default())),
        Action::PauseQueue => "The queue is paused.".to_owned(),
        Action::ResumeQueue => "The queue is resumed.".to_owned(),
        Action::Reindex => "Every document is read again.".to_owned(),
        Action::CancelBatch => "The batch is cancelled.".to_owned(),
        Action::RetryDocument => "Its chunks that gave nothing are extracted once more.".to_owned(),
        Action::DeleteDocument => "The document is being deleted.".to_owned(),
        Action::DeleteMatching | Action::Empty => "The documents are being deleted.".to_owned(),
        Action::PauseSchedule => "The schedule is paused.".to_owned(),
        Action::ResumeSchedule => "The schedule is resumed.".to_owned(),
        Action::RunSchedule => "The schedule was fired.".to_owned(),
        Action::TakeOver => "The schedule fires as you from now on.".to_owned(),
        Action::DeleteSchedule => "The schedule is deleted.".to_owned(),
        Action::StopFetching => "The worker stops fetching within seconds.".to_owned(),
        Action::ResumeFetching => "The worker fetches again within seconds.".to_owned(),
    };
    if action.is_of_worker() {
        return said;
    }
    if answer.get("applied") == Some(&Value::Bool(false)) {
        said.push_str(" Redis does not answer: workers learn of it when it does.");
    }
    if answer.get("more") == Some(&Value::Bool(true)) {
        said.push_str(" There are more: do it again.");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_cannot_leave_its_tenant() {
        let target = Target { job: "../../tenants/b/jobs/1".into(), ..Target::default() };
        let (_, path, _) = call(Action::CancelJob, Some("a"), &target);
        assert_eq!(path, "/tenants/a/jobs/..%2F..%2Ftenants%2Fb%2Fjobs%2F1");
        for back in ["https://evil.example", "//evil.example", "/t/\\evil"] {
            let target = Target { back: back.into(), ..Target::default() };
            assert_eq!(target.back(Some("a")), "/t/a", "{back}");
            assert_eq!(target.back(None), "/workers", "{back}");
        }
        let target = Target { worker: "../tenants/b".into(), ..Target::default() };
        assert_eq!(call(Action::StopFetching, None, &target).1, "/workers/..%2Ftenants%2Fb/stop-fetching");
    }

    #[test]
    fn what_is_about_a_worker_is_not_about_a_tenant() {
        for (name, of_tenant, of_worker) in
            [("pause", true, false), ("stop-fetching", false, true), ("nothing", false, false)]
        {
            assert_eq!((named(name, Some("a")).is_ok(), named(name, None).is_ok()), (of_tenant, of_worker));
        }
    }

    #[test]
    fn a_filter_is_sent_as_the_api_takes_it() {
        let target = Target {
            kind: "a,b".into(),
            priority: "low".into(),
            lane: "bulk".into(),
            kb: "default".into(),
            batch: "0190".into(),
            ..Target::default()
        };
        let expected = json!({ "types": ["a", "b"], "priorities": ["low"], "lane": "bulk", "kb_id": "default",
            "batch_id": "0190" });
        assert_eq!(target.filter(), expected);
        assert_eq!(
            target.filter_in_words(),
            "type a,b, priority low, lane bulk, knowledge base default, batch 0190"
        );
    }

    #[test]
    fn outcomes_say_what_was_done() {
        let answer = json!({ "cancelled": 1200, "stopping": 1, "more": true });
        assert_eq!(
            outcome(Action::CancelMatching, &answer),
            "1 200 jobs cancelled, 1 being stopped. There are more: do it again."
        );
        assert!(outcome(Action::Pause, &json!({ "applied": false })).contains("Redis does not answer"));
    }
}
