//! `tenantry schedules`: what a knowledge base does by itself.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::Run;
use super::api::segment;
use super::change::Change;
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the schedules of the knowledge base, by name.
    #[command(after_help = "Examples:
  tenantry schedules list --kb default")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a schedule.
    #[command(after_help = "Examples:
  tenantry schedules show nightly")]
    Show {
        /// Its name.
        name: String,
    },
    /// Makes a schedule, or replaces it.
    #[command(after_help = "Examples:
  tenantry schedules put nightly --cron '0 3 * * *' --time-zone Europe/Berlin")]
    Put(Put),
    /// Stops a schedule from firing until it is resumed.
    #[command(after_help = "Examples:
  tenantry schedules pause nightly --reason 'the model is away'")]
    Pause(Changed),
    /// Lets a paused schedule fire again.
    #[command(after_help = "Examples:
  tenantry schedules resume nightly")]
    Resume(Changed),
    /// Takes a schedule over: from now on it fires as you. For one whose author has left.
    #[command(after_help = "Examples:
  tenantry schedules take-over nightly")]
    TakeOver(Changed),
    /// Fires a schedule now, also while it is paused.
    #[command(after_help = "Examples:
  tenantry schedules run nightly")]
    Run(Changed),
    /// Deletes a schedule: it does not fire any more.
    #[command(after_help = "Examples:
  tenantry schedules delete nightly --yes")]
    Delete(Changed),
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Its name: `a-z`, `0-9` and `-`.
    name: String,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    #[arg(long, value_name = "FIELDS")]
    cron: String,
    /// The time zone in which they are read.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// The type of the jobs that it enqueues.
    #[arg(long = "type", value_name = "TYPE", default_value = "kb.reindex")]
    kind: String,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Changed {
    /// Its name.
    name: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 8] = [
    Column("NAME", "/name", As::Text),
    Column("TYPE", "/type", As::Text),
    Column("CRON", "/cron", As::Text),
    Column("TIME ZONE", "/time_zone", As::Text),
    Column("PAUSED", "/paused", As::Text),
    Column("NEXT", "/next_fire_at", As::Age),
    Column("LAST", "/last_fire_at", As::Age),
    Column("BLOCKED", "/blocked/code", As::Text),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { limit } => {
                let path = session.kb_path("schedules").await?;
                session.output.list(&COLUMNS, &session.api.all(&path, &[], "schedules", limit).await?)
            }
            Self::Show { name } => {
                session.output.show(&session.api.get(&path_of(session, &name).await?).await?)
            }
            Self::Put(Put { name, cron, time_zone, kind, reason }) => {
                let body = json!({ "cron": cron, "time_zone": time_zone, "type": kind });
                let path = path_of(session, &name).await?;
                session
                    .output
                    .show(&session.api.change(Method::PUT, &path, Some(&body), reason.as_deref()).await?)
            }
            Self::Pause(changed) => changed.run(session, "pause").await,
            Self::Resume(changed) => changed.run(session, "resume").await,
            Self::TakeOver(changed) => changed.run(session, "take-over").await,
            Self::Run(changed) => changed.run(session, "run").await,
            Self::Delete(Changed { name, change }) => {
                let path = path_of(session, &name).await?;
                change
                    .confirm(&format!("Delete the schedule {name} of the knowledge base {}", session.kb()))?;
                change.send(session, Method::DELETE, &path, None).await?;
                session.output.done(&json!({ "deleted": name }), &format!("deleted {name}"))
            }
        }
    }
}

async fn path_of(session: &Session, name: &str) -> Result<String, Failure> {
    session.kb_path(&format!("schedules/{}", segment(name))).await
}

impl Changed {
    async fn run(self, session: &Session, verb: &str) -> Result<(), Failure> {
        let Self { name, change } = self;
        let path = format!("{}/{verb}", path_of(session, &name).await?);
        let done = change.send(session, Method::POST, &path, None).await?;
        let sentence = match done["job_id"].as_str() {
            Some(job) => format!("{name} fired; `tenantry jobs tail {job}` follows the job"),
            None if verb == "take-over" => {
                format!("{name} fires as {} from now on", done["created_by"].as_str().unwrap_or("you"))
            }
            None if done["paused"] == true => format!("{name} is paused"),
            None => format!("{name} fires again"),
        };
        session.output.done(&done, &sentence)
    }
}
