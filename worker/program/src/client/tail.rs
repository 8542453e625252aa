//! Following work to its end: a document or a job by its events; a folder and everything of a tenant by asking the API
//! once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jobs::DocumentId;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::api::{Api, segment};
use super::change::count;
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column, text};
use super::progress::Progress;
use super::stream::{Events, ServerEvent};
use super::upload::files_below;

/// Where documents are when all is done.
pub(super) const IN_THE_GRAPH: &str = "in the graph";
const POLL: Duration = Duration::from_secs(1);
/// How often the API is asked for how a job ended.
const SETTLES: u32 = 5;
/// How long the API may be away before following ends.
const AWAY_POLLS: u32 = 60;

/// What to follow.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// A job. Without one, everything of the tenant until nothing waits or runs.
    job: Option<String>,
    /// A document, by its name or id.
    #[arg(long, conflicts_with = "job")]
    document: Option<String>,
    /// The documents of a folder that was uploaded.
    #[arg(long, conflicts_with_all = ["job", "document"])]
    folder: Option<PathBuf>,
}

impl Tail {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self { job: Some(job), .. } => follow_job(session, &job).await,
            Self { document: Some(document), .. } => follow_document(session, &document).await,
            Self { folder: Some(folder), .. } => {
                let mut following = Following::of(session).await?;
                for file in files_below(&folder)? {
                    following.add(&document_id(&file.name), &file.name);
                }
                follow_documents(session, following, &folder.display().to_string()).await
            }
            Self { .. } => follow_tenant(session).await,
        }
    }
}

/// A document's id, also from its name.
pub(super) fn document_id(named: &str) -> String {
    let id = named.parse::<DocumentId>().unwrap_or_else(|_| DocumentId::of_name(named));
    id.as_str().to_owned()
}

/// Fires once a second.
pub(super) fn polls() -> Interval {
    let mut polls = interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    polls
}

/// Documents that are on their way into the graph.
pub(super) struct Following {
    /// The path of the knowledge base's documents.
    path: String,
    /// Names by id.
    open: BTreeMap<String, String>,
    away: u32,
}

/// How a document ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) name: String,
    /// Code and detail of what went wrong.
    pub(super) error: Option<(String, String)>,
}

impl Ended {
    /// A document that is not in the graph, for a report.
    pub(super) fn failure(&self) -> Option<Value> {
        let (code, detail) = self.error.as_ref()?;
        Some(json!({ "name": self.name, "code": code, "detail": detail }))
    }
}

impl Following {
    /// None yet.
    pub(super) async fn of(session: &Session) -> Result<Self, Failure> {
        Ok(Self { path: session.kb_path("documents").await?, open: BTreeMap::new(), away: 0 })
    }

    /// One more.
    pub(super) fn add(&mut self, id: &str, name: &str) {
        self.open.insert(id.to_owned(), name.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Those that have ended since the last time. The API may be away for a while.
    pub(super) async fn poll(&mut self, api: &Api) -> Result<Vec<Ended>, Failure> {
        match self.ended(api).await {
            Err(failure) if failure.passes_in_s().is_some() && self.away < AWAY_POLLS => {
                self.away += 1;
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
            Ok(ended) => {
                self.away = 0;
                Ok(ended)
            }
        }
    }

    async fn ended(&mut self, api: &Api) -> Result<Vec<Ended>, Failure> {
        let mut open = BTreeSet::new();
        // In this order: what moves on between the two requests is in one of the answers.
        for status in ["pending", "processing"] {
            let listed = api.all(&self.path, &[("status", status)], "documents", None).await?;
            open.extend(listed.iter().filter_map(|document| document["id"].as_str().map(str::to_owned)));
        }
        let gone: Vec<_> = self.open.keys().filter(|id| !open.contains(*id)).cloned().collect();
        let mut ended = Vec::new();
        for id in gone {
            let error = match api.get(&format!("{}/{}", self.path, segment(&id))).await {
                Ok(document) => match document["status"].as_str() {
                    Some("processed" | "partial") => None,
                    Some("failed") => {
                        Some((text(&document["error"]["code"]), text(&document["error"]["detail"])))
                    }
                    // It was uploaded again, or began again, in between.
                    _ => continue,
                },
                Err(Failure::Refused(problem)) if problem.status == 404 => {
                    Some(("not_found".to_owned(), "there is no such document".to_owned()))
                }
                Err(failure) => return Err(failure),
            };
            let name = self.open.remove(&id).unwrap_or(id);
            ended.push(Ended { name, error });
        }
        Ok(ended)
    }
}

const FAILED: [Column; 3] = [
    Column("NAME", "/name", As::Text),
    Column("CODE", "/code", As::Text),
    Column("REASON", "/detail", As::Text),
];

/// Says how many documents came how far and which did not, and fails if there are some.
pub(super) fn report(session: &Session, ended: &[Ended], how_far: &str) -> Result<(), Failure> {
    let failed: Vec<_> = ended.iter().filter_map(Ended::failure).collect();
    let ok = ended.len() - failed.len();
    let sentence =
        format!("{} {how_far}, {} failed", count(ok, "document is", "documents are"), failed.len());
    let whole = json!({ "ok": ok, "failed": failed });
    if failed.is_empty() {
        return session.output.done(&whole, &sentence);
    }
    let table = super::output::table(&FAILED, &failed);
    session.output.report(&whole, &format!("{table}\n\n{sentence}"))?;
    Err(Failure::Failed(format!(
        "{} of {} failed",
        failed.len(),
        count(ended.len(), "document", "documents")
    )))
}

async fn follow_documents(session: &Session, mut following: Following, label: &str) -> Result<(), Failure> {
    let (total, mut ended, mut polls) = (following.len(), Vec::new(), polls());
    let mut progress = Progress::start(label);
    while !following.is_empty() {
        polls.tick().await;
        ended.extend(following.poll(&session.api).await?);
        let failed = ended.iter().filter(|ended: &&Ended| ended.error.is_some()).count();
        progress.show(ended.len(), total, &format!("{} on their way, {failed} failed", following.len()));
    }
    progress.finish();
    report(session, &ended, IN_THE_GRAPH)
}

/// Follows one document by its events.
pub(super) async fn follow_document(session: &Session, document: &str) -> Result<(), Failure> {
    let path = session.kb_path(&format!("documents/{}", segment(&document_id(document)))).await?;
    let mut events = Events::of(&session.api, format!("{path}/events"));
    let mut progress = Progress::start(document);
    loop {
        let ServerEvent { name, data } = events.next().await?;
        let stage = if name == "snapshot" { &data["stage"] } else { &data };
        let step = if name == "snapshot" { &stage["name"] } else { &stage["stage"] };
        if let Some(step) = step.as_str() {
            progress.show(steps(&stage["done"]), steps(&stage["total"]), step);
        }
        let status = data["status"].as_str().unwrap_or_default();
        let error = match status {
            "processed" | "partial" => None,
            "failed" => Some((text(&data["error"]["code"]), text(&data["error"]["detail"]))),
            "deleted" => Some(("not_found".to_owned(), "it was deleted".to_owned())),
            _ => continue,
        };
        progress.finish();
        return report(session, &[Ended { name: document.to_owned(), error }], IN_THE_GRAPH);
    }
}

fn steps(number: &Value) -> usize {
    number.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

/// States in which nothing more happens to a job by itself.
const JOB_ENDS: [&str; 4] = ["completed", "cancelled", "discarded", "quarantined"];

/// Follows one job by its events.
async fn follow_job(session: &Session, job: &str) -> Result<(), Failure> {
    let path = session.tenant_path(&format!("jobs/{}", segment(job))).await?;
    let mut events = Events::of(&session.api, format!("{path}/events"));
    let (mut progress, mut before) = (Progress::start(job), (0, 1));
    let state = loop {
        let ServerEvent { name, data } = events.next().await?;
        let reported = if name == "snapshot" { &data["progress"] } else { &data };
        if reported["total"].is_u64() {
            before = (steps(&reported["done"]), steps(&reported["total"]));
        }
        let waits = data["waits_for"].as_array().and_then(|waits| Some(text(&waits.first()?["text"])));
        let said = [text(&data["state"]), text(&reported["message"])].into_iter().chain(waits);
        let said: Vec<_> = said.filter(|said| !said.is_empty()).collect();
        if !said.is_empty() {
            progress.show(before.0, before.1, &said.join(": "));
        }
        if let Some(state) = data["state"].as_str().filter(|state| JOB_ENDS.contains(state)) {
            break state.to_owned();
        }
    };
    progress.finish();
    // Told when the job ended; the queue knows a moment later.
    let mut polls = polls();
    let mut found = session.api.get(&path).await?;
    for _ in 0..SETTLES {
        if found["state"].as_str().is_some_and(|state| JOB_ENDS.contains(&state)) {
            break;
        }
        polls.tick().await;
        found = session.api.get(&path).await?;
    }
    session.output.done(&found, &format!("{job} is {state}"))?;
    let why = format!("the job is {state}: {}", text(&found["error"]["detail"]));
    if state == "completed" { Ok(()) } else { Err(Failure::Failed(why)) }
}

async fn follow_tenant(session: &Session) -> Result<(), Failure> {
    let tenant = session.tenant().await?;
    let path = session.tenant_path("jobs?limit=1").await?;
    let (mut progress, mut polls, mut before) = (Progress::start(&tenant), polls(), None);
    loop {
        polls.tick().await;
        let found = session.api.get(&path).await?;
        let number = |group: &str, name: &str| {
            usize::try_from(found[group][name].as_u64().unwrap_or_default()).unwrap_or(usize::MAX)
        };
        let ended = |name: &str| number("totals", name);
        let now = [ended("completed") + ended("cancelled"), ended("discarded") + ended("quarantined")];
        let before = *before.get_or_insert(now);
        let [done, failed] = [0, 1].map(|at| now[at].saturating_sub(before[at]));
        let running = number("counts", "active");
        let waiting: usize = ["available", "scheduled", "retryable", "parked"]
            .map(|state| number("counts", state))
            .iter()
            .sum();
        let total = done + failed + running + waiting;
        progress.show(
            done + failed,
            total,
            &format!("{running} running, {waiting} waiting, {failed} failed"),
        );
        if running + waiting == 0 {
            progress.finish();
            session.output.done(
                &json!({ "done": done, "failed": failed }),
                &format!("{tenant}: nothing waits or runs"),
            )?;
            let why =
                format!("{} failed for good: see `tenantry dead-letters list`", count(failed, "job", "jobs"));
            return if failed == 0 { Ok(()) } else { Err(Failure::Failed(why)) };
        }
    }
}
