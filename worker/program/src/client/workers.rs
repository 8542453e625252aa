//! `tenantry workers`: the worker processes, whether they claim jobs, and which job types they run.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use jobs::JobKind;
use reqwest::Method;
use serde_json::Value;

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column, text};

/// How long a worker may take to do what it was told. It asks every few seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the worker processes that live, with their slots and whether they claim jobs. For operators.
    #[command(after_help = "Examples:
  tenantry workers list")]
    List,
    /// Shows a worker process.
    #[command(after_help = "Examples:
  tenantry workers show WORKER")]
    Show {
        /// Its id.
        worker: String,
    },
    /// Lists the types and versions of jobs with the number of live workers that run each. For operators.
    #[command(after_help = "Examples:
  tenantry workers skills")]
    Skills,
    /// Tells a worker to claim no more jobs, and waits until it does not. It ends what it has, and stays listed.
    #[command(after_help = "Examples:
  tenantry workers stop-fetching WORKER --reason 'a new version' --yes

It lasts until `resume-fetching`, or until the worker ends: a restarted worker is another one, and fetches.")]
    StopFetching(Order),
    /// Tells a worker to claim jobs again, and waits until it does.
    #[command(after_help = "Examples:
  tenantry workers resume-fetching WORKER")]
    ResumeFetching(Order),
}

#[derive(Debug, Args)]
pub(crate) struct Order {
    /// Its id.
    worker: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 9] = [
    Column("ID", "/id", As::Text),
    Column("HOST", "/host", As::Text),
    Column("VERSION", "/version", As::Text),
    Column("AGE", "/started_at", As::Age),
    Column("JOBS", "/slots/jobs/in_flight", As::Number),
    Column("SLOTS", "/slots/jobs/slots", As::Number),
    Column("WEBHOOKS", "/slots/webhooks/in_flight", As::Number),
    Column("WEBHOOK SLOTS", "/slots/webhooks/slots", As::Number),
    Column("FETCHING", "/fetching", As::Text),
];

const SKILLS: [Column; 4] = [
    Column("TYPE", "/skill", As::Text),
    Column("QUEUE", "/queue", As::Text),
    Column("WORKERS", "/workers", As::Number),
    Column("TENANTS WAITING", "/ready_tenants", As::Number),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List => {
                let workers = session.api.all("/workers", &[], "workers", None).await?;
                session.output.list(&COLUMNS, &workers)
            }
            Self::Show { worker } => session.output.show(&shown(session, &worker).await?),
            Self::Skills => session.output.list(&SKILLS, &skills(session).await?),
            Self::StopFetching(order) => order.run(session, false).await,
            Self::ResumeFetching(order) => order.run(session, true).await,
        }
    }
}

async fn shown(session: &Session, worker: &str) -> Result<Value, Failure> {
    session.api.get(&format!("/workers/{}", segment(worker))).await
}

impl Order {
    async fn run(self, session: &Session, fetching: bool) -> Result<(), Failure> {
        let Self { worker, change } = self;
        if !fetching {
            let running = running(&shown(session, &worker).await?);
            let running = count(usize::try_from(running).unwrap_or(usize::MAX), "job", "jobs");
            change.confirm(&format!(
                "Tell worker {worker} to stop fetching: it ends the {running} that it has"
            ))?;
        }
        let verb = if fetching { "resume-fetching" } else { "stop-fetching" };
        let path = format!("/workers/{}/{verb}", segment(&worker));
        let mut said = change.send(session, Method::POST, &path, None).await?;
        let asked = Instant::now();
        while said["applied"] != true {
            if asked.elapsed() > PATIENCE {
                let after = PATIENCE.as_secs();
                return Err(Failure::Failed(format!(
                    "worker {worker} was told, and has not taken note after {after} s: look at its log"
                )));
            }
            tokio::time::sleep(LOOK).await;
            said = shown(session, &worker).await?;
        }
        let what = if fetching { "fetches jobs" } else { "claims no more jobs" };
        session
            .output
            .done(&said, &format!("worker {} {what}, and holds {}", text(&said["id"]), running(&said)))
    }
}

/// Jobs that a worker holds, in all of its slots.
fn running(worker: &Value) -> u64 {
    let slots = worker["slots"].as_object().into_iter().flatten();
    slots.filter_map(|(_, slots)| slots["in_flight"].as_u64()).sum()
}

/// The types and versions of jobs that the queue knows.
pub(super) async fn skills(session: &Session) -> Result<Vec<Value>, Failure> {
    session.api.all("/skills", &[], "skills", None).await
}

/// The product's types that no live worker runs, and other types for which jobs wait.
pub(super) fn without_workers(skills: &[Value]) -> Vec<String> {
    let kind =
        |skill: &Value| skill["skill"].as_str().and_then(|skill| Some(skill.rsplit_once('@')?.0.to_owned()));
    let runs =
        |name: &str| skills.iter().any(|skill| kind(skill).as_deref() == Some(name) && skill["workers"] != 0);
    let product = JobKind::ALL.iter().map(|kind| kind.as_str()).filter(|name| !runs(name)).map(str::to_owned);
    let waits = |skill: &&Value| skill["workers"] == 0 && skill["ready_tenants"] != 0;
    let waiting = skills.iter().filter(waits).filter_map(|skill| skill["skill"].as_str().map(str::to_owned));
    let is_other = |skill: &String| {
        !JobKind::ALL.iter().any(|kind| skill.starts_with(&format!("{kind}@")) && !runs(kind.as_str()))
    };
    product.chain(waiting.filter(is_other)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_that_no_worker_runs_are_named_once() {
        let skill = |name: &str, workers: u64, ready: u64| json!({ "skill": name, "workers": workers, "ready_tenants": ready });
        let mut skills: Vec<_> = JobKind::ALL.iter().map(|kind| skill(&format!("{kind}@1"), 1, 0)).collect();
        assert_eq!(without_workers(&skills), [""; 0]);
        skills[0] = skill("tenant.provision@1", 0, 2);
        skills.push(skill("document.ingest@2", 0, 1));
        skills.push(skill("invoice.send@1", 0, 0));
        assert_eq!(without_workers(&skills), ["tenant.provision", "document.ingest@2"]);
        assert_eq!(without_workers(&[]).len(), JobKind::ALL.len());
    }
}
