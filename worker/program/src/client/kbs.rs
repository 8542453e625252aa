//! `tenantry kbs`: the knowledge bases of a tenant.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the knowledge bases that the credentials reach, with their documents by status.
    #[command(after_help = "Examples:
  tenantry kbs list")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a knowledge base.
    #[command(after_help = "Examples:
  tenantry kbs show default")]
    Show {
        /// Its id.
        id: String,
    },
    /// Makes a knowledge base.
    #[command(after_help = "Examples:
  tenantry kbs create papers --name Papers")]
    Create(Create),
    /// Reads every document again.
    #[command(after_help = "Examples:
  tenantry kbs reindex default --yes")]
    Reindex(Changed),
    /// Deletes every document; the knowledge base stays, with its schedules and keys.
    #[command(after_help = "Examples:
  tenantry kbs empty papers --yes")]
    Empty(Changed),
    /// Closes a knowledge base and empties every store of it.
    #[command(after_help = "Examples:
  tenantry kbs delete papers --reason 'no longer used' --yes")]
    Delete(Changed),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its id: a label of `a-z`, `0-9` and `-`.
    id: String,
    /// What people call it. The id by default.
    #[arg(long)]
    name: Option<String>,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Changed {
    /// Its id.
    id: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 7] = [
    Column("ID", "/id", As::Text),
    Column("NAME", "/name", As::Text),
    Column("PROCESSED", "/documents/processed", As::Number),
    Column("PROCESSING", "/documents/processing", As::Number),
    Column("PENDING", "/documents/pending", As::Number),
    Column("FAILED", "/documents/failed", As::Number),
    Column("AGE", "/created_at", As::Age),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { limit } => {
                let path = session.tenant_path("kbs").await?;
                session.output.list(&COLUMNS, &session.api.all(&path, &[], "kbs", limit).await?)
            }
            Self::Show { id } => {
                let path = session.tenant_path(&format!("kbs/{}", segment(&id))).await?;
                session.output.show(&session.api.get(&path).await?)
            }
            Self::Create(Create { id, name, reason }) => {
                let path = session.tenant_path("kbs").await?;
                let body = json!({ "kb_id": id, "name": name.unwrap_or_else(|| id.clone()) });
                let made = session.api.change(Method::POST, &path, Some(&body), reason.as_deref()).await?;
                session.output.done(&made, &format!("made the knowledge base {id}"))
            }
            Self::Reindex(changed) => changed.run(session, "Read again", Some("reindex")).await,
            Self::Empty(changed) => changed.run(session, "Delete every document of", Some("empty")).await,
            Self::Delete(changed) => changed.run(session, "Delete", None).await,
        }
    }
}

impl Changed {
    async fn run(self, session: &Session, verb: &str, operation: Option<&str>) -> Result<(), Failure> {
        let Self { id, change } = self;
        let tenant = session.tenant().await?;
        let path = session.tenant_path(&format!("kbs/{}", segment(&id))).await?;
        let documents = session.api.get(&path).await?["documents"].take();
        let total: u64 =
            documents.as_object().into_iter().flatten().filter_map(|(_, number)| number.as_u64()).sum();
        let total = count(usize::try_from(total).unwrap_or(usize::MAX), "document", "documents");
        change.confirm(&format!("{verb} the knowledge base {id} of {tenant}: {total}"))?;
        let (method, path) = match operation {
            Some(operation) => (Method::POST, format!("{path}/{operation}")),
            None => (Method::DELETE, path),
        };
        let done: Value = change.send(session, method, &path, None).await?;
        let job = done["job_id"].as_str().unwrap_or_default();
        session.output.done(&done, &format!("{id}: {total}; `tenantry jobs tail {job}` follows the job"))
    }
}
