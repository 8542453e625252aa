//! `tenantry batches`: what requests and folders brought in, each as one thing.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column, text};
use super::progress::Progress;
use super::stream::Events;
use super::tail::{Ended, IN_THE_GRAPH, report};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists batches, newest first.
    #[command(after_help = "Examples:
  tenantry batches list --limit 10")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a batch: how far it is, when it may be done, and what failed.
    #[command(after_help = "Examples:
  tenantry batches show BATCH")]
    Show {
        /// Its id.
        batch: String,
    },
    /// Cancels a batch: its documents that are on their way fail, and nothing more comes into it.
    #[command(after_help = "Examples:
  tenantry batches cancel BATCH --reason 'wrong folder' --yes")]
    Cancel(Cancel),
    /// Follows a batch until all of its documents are in the graph or have failed.
    #[command(after_help = "Examples:
  tenantry batches tail BATCH

Exit code 1: some documents failed; the report says which and why.")]
    Tail {
        /// Its id.
        batch: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Its id.
    batch: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 8] = [
    Column("ID", "/id", As::Text),
    Column("STATE", "/state", As::Text),
    Column("DONE", "/progress/done", As::Number),
    Column("TOTAL", "/progress/total", As::Number),
    Column("FAILED", "/counts/failed", As::Number),
    Column("REPLACED", "/counts/replaced", As::Number),
    Column("KBS", "/kb_ids", As::Text),
    Column("AGE", "/created_at", As::Age),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { limit } => {
                let path = session.tenant_path("batches").await?;
                session.output.list(&COLUMNS, &session.api.all(&path, &[], "batches", limit).await?)
            }
            Self::Show { batch } => session.output.show(&shown(session, &batch).await?),
            Self::Cancel(cancel) => cancel.run(session).await,
            Self::Tail { batch } => {
                let whole = follow(session, &batch, &batch).await?;
                report_on(session, &whole, BTreeMap::new())
            }
        }
    }
}

/// The path of a batch.
async fn path_of(session: &Session, batch: &str) -> Result<String, Failure> {
    session.tenant_path(&format!("batches/{}", segment(batch))).await
}

/// A batch as the API shows it.
pub(super) async fn shown(session: &Session, batch: &str) -> Result<Value, Failure> {
    session.api.get(&path_of(session, batch).await?).await
}

impl Cancel {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let (Self { batch, change }, tenant) = (self, session.tenant().await?);
        let found = shown(session, &batch).await?;
        let open = found["progress"]["total"].as_u64().unwrap_or_default()
            - found["progress"]["done"].as_u64().unwrap_or_default();
        let open = count(usize::try_from(open).unwrap_or(usize::MAX), "document", "documents");
        change.confirm(&format!("Cancel the batch {batch} of {tenant}: {open} on their way"))?;
        let path = format!("{}/cancel", path_of(session, &batch).await?);
        let done = change.send(session, Method::POST, &path, None).await?;
        let sentence = format!(
            "{} documents cancelled; of their jobs {} cancelled, {} stopping",
            done["documents"], done["jobs"]["cancelled"], done["jobs"]["stopping"]
        );
        session.output.done(&done, &sentence)
    }
}

/// Follows a batch to its end, with one bar. Returns its report.
pub(super) async fn follow(session: &Session, batch: &str, label: &str) -> Result<Value, Failure> {
    let path = path_of(session, batch).await?;
    let mut events = Events::of(&session.api, format!("{path}/events"));
    let mut progress = Progress::start(label);
    loop {
        let event = events.next().await?;
        if event.name == "snapshot" {
            show(&mut progress, &event.data);
            if event.data["state"] != "active" {
                progress.finish();
                return Ok(event.data);
            }
        }
    }
}

/// Shows how far a batch is.
pub(super) fn show(progress: &mut Progress, batch: &Value) {
    let number = |pointer: &str| batch.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let wide = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (done, total) = (number("/progress/done"), number("/progress/total"));
    let mut message =
        format!("{} on their way, {} failed", total - done.min(total), number("/counts/failed"));
    if let Some(left) = batch["estimate"]["seconds"].as_i64() {
        let left = super::output::duration(chrono::TimeDelta::seconds(left));
        message = format!("{message}, about {left} left");
    }
    if let Some(bound) = batch["estimate"]["bound_by"].as_array().and_then(|bound| bound.first()) {
        message = format!("{message}; waits for: {}", text(&bound["text"]));
    }
    progress.show(wide(done), wide(total), &message);
}

/// Says how many documents of a batch came how far and which did not. `left_out` were never accepted: name, code and
/// detail.
pub(super) fn report_on(
    session: &Session,
    batch: &Value,
    left_out: BTreeMap<String, (String, String)>,
) -> Result<(), Failure> {
    let mut ended: Vec<_> =
        left_out.into_iter().map(|(name, error)| Ended { name, error: Some(error) }).collect();
    let failures = batch["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
    ended.extend(failures.iter().map(|failure| Ended {
        name: text(&failure["name"]),
        error: Some((text(&failure["code"]), text(&failure["detail"]))),
    }));
    ended.sort_by(|one, other| one.name.cmp(&other.name));
    let counts = &batch["counts"];
    let number =
        |name: &str| usize::try_from(counts[name].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
    let unnamed = number("failed").saturating_sub(failures.len());
    for (places, code, detail) in [
        (unnamed, "failed", "see `tenantry documents list --status failed`"),
        (number("replaced"), "replaced", "a later upload under the same name took its place"),
        (number("deleted"), "deleted", "it was deleted meanwhile"),
    ] {
        let other =
            || Ended { name: "(another)".to_owned(), error: Some((code.to_owned(), detail.to_owned())) };
        ended.extend(std::iter::repeat_with(other).take(places));
    }
    let good = || Ended { name: String::new(), error: None };
    ended.extend(std::iter::repeat_with(good).take(number("processed")));
    report(session, &ended, IN_THE_GRAPH)
}
