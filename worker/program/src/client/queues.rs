//! `tenantry queues`: what waits where, and whether it may start.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::{Session, tenant_path};
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the queues in which the tenant has jobs, with how many in which state.
    #[command(after_help = "Examples:
  tenantry queues list")]
    List,
    /// Nothing starts any more; new jobs are taken and wait. What runs goes on to its end.
    #[command(after_help = "Examples:
  tenantry queues pause documents --reason 'store moves' --yes
  tenantry queues pause --yes
  tenantry queues pause documents --all-tenants --yes")]
    Pause(Flow),
    /// Ends a pause or a drain.
    #[command(after_help = "Examples:
  tenantry queues resume documents
  tenantry queues resume
  tenantry queues resume documents --all-tenants")]
    Resume(Flow),
    /// What is there runs, and new jobs are refused.
    #[command(after_help = "Examples:
  tenantry queues drain documents --yes
  tenantry queues resume documents")]
    Drain(Flow),
}

#[derive(Debug, Args)]
pub(crate) struct Flow {
    /// One queue, such as `documents`. Without one, all of the tenant's.
    queue: Option<String>,
    /// The queue of all tenants: for operators.
    #[arg(long, requires = "queue")]
    all_tenants: bool,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 6] = [
    Column("QUEUE", "/queue", As::Text),
    Column("ACTIVE", "/active", As::Number),
    Column("AVAILABLE", "/available", As::Number),
    Column("SCHEDULED", "/scheduled", As::Number),
    Column("RETRYABLE", "/retryable", As::Number),
    Column("PARKED", "/parked", As::Number),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List => list(session).await,
            Self::Pause(flow) => flow.run(session, "pause", Some("Pause")).await,
            Self::Resume(flow) => flow.run(session, "resume", None).await,
            Self::Drain(flow) => flow.run(session, "drain", Some("Drain")).await,
        }
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let kb = session.given_kb.clone().unwrap_or_default();
    let path = session.tenant_path("jobs").await?;
    let mut queues: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for job in session.api.all(&path, &[("kb_id", &kb)], "jobs", None).await? {
        let name = |field: &str| job[field].as_str().unwrap_or_default().to_owned();
        *queues.entry(name("queue")).or_default().entry(name("state")).or_default() += 1;
    }
    let row = |(queue, states): (String, BTreeMap<String, u64>)| {
        let mut row = json!({ "queue": queue });
        for Column(_, state, _) in &COLUMNS[1..] {
            let state = state.trim_start_matches('/');
            row[state] = json!(states.get(state).copied().unwrap_or_default());
        }
        row
    };
    session.output.list(&COLUMNS, &queues.into_iter().map(row).collect::<Vec<Value>>())
}

impl Flow {
    /// `question` is the verb of what is asked about first, if it stops something.
    async fn run(self, session: &Session, verb: &str, question: Option<&str>) -> Result<(), Failure> {
        let (whose, path) = match (&self.queue, self.all_tenants) {
            (Some(queue), true) => {
                // Of a member, the same path means the queue of their own tenant.
                if !session.is_operator().await? {
                    return Err(Failure::Usage("--all-tenants is for operators: leave it out".to_owned()));
                }
                ("all tenants".to_owned(), format!("/queues/{}/{verb}", segment(queue)))
            }
            (queue, _) => {
                let tenant = session.tenant().await?;
                let path = match queue {
                    Some(queue) => tenant_path(&tenant, &format!("queues/{}/{verb}", segment(queue))),
                    None => tenant_path(&tenant, &format!("jobs/{verb}")),
                };
                (tenant, path)
            }
        };
        let what = match &self.queue {
            Some(queue) => format!("the queue {queue} of {whose}"),
            None => format!("all queues of {whose}"),
        };
        if let Some(question) = question {
            let open = if self.all_tenants { String::new() } else { self.open_jobs(session, &whose).await? };
            self.change.confirm(&format!("{question} {what}{open}"))?;
        }
        let done = self.change.send(session, Method::POST, &path, None).await?;
        let later = if done["applied"] == true {
            ""
        } else {
            "; a worker tells the queue, which does not answer now"
        };
        session.output.done(&done, &format!("{what}: {}{later}", done["flow"].as_str().unwrap_or_default()))
    }

    /// How many jobs that touches.
    async fn open_jobs(&self, session: &Session, tenant: &str) -> Result<String, Failure> {
        let queue = self.queue.clone().unwrap_or_default();
        let path = tenant_path(tenant, "jobs");
        let found = session.api.all(&path, &[("queue", &queue)], "jobs", Some(10_000)).await?;
        Ok(format!(", which has {}", count(found.len(), "job", "jobs")))
    }
}
