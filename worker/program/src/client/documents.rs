//! `tenantry documents`: the documents of a knowledge base, and uploading more.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::Session;
use super::explain::explain;
use super::failure::Failure;
use super::jobs;
use super::output::{As, Column, plain, text};
use super::tail::{document_id, follow_document};
use super::upload::Upload;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the documents, by id.
    #[command(after_help = "Examples:
  tenantry documents list
  tenantry documents list --status failed --output json")]
    List {
        /// Only those that are pending, processing, processed, partial or failed.
        #[arg(long)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a document.
    #[command(after_help = "Examples:
  tenantry documents show notes.md")]
    Show {
        /// Its name or id.
        document: String,
    },
    /// Says what keeps a document from being in the graph, and what would help.
    #[command(after_help = "Examples:
  tenantry documents explain notes.md")]
    Explain {
        /// Its name or id.
        document: String,
    },
    /// Follows a document until it is in the graph or has failed.
    #[command(after_help = "Examples:
  tenantry documents tail notes.md")]
    Tail {
        /// Its name or id.
        document: String,
    },
    /// Shows the pieces that a document was cut into, in the order of its text.
    #[command(after_help = "Examples:
  tenantry documents chunks notes.md --limit 10")]
    Chunks {
        /// Its name or id.
        document: String,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Extracts the chunks of a partial document once more that gave nothing.
    #[command(after_help = "Examples:
  tenantry documents retry notes.md")]
    Retry(Retry),
    /// Removes documents from every store: those named, or all in a status.
    #[command(after_help = "Examples:
  tenantry documents delete notes.md --reason 'replaced' --yes
  tenantry documents delete --status failed --yes")]
    Delete(Delete),
    /// Uploads a folder, or a file, and waits until everything is in the graph or has failed.
    #[command(after_help = "Examples:
  tenantry documents upload FOLDER
  tenantry documents upload FOLDER --prefix handbook/ --no-wait

Exit code 1: some files failed; the report says which and why.")]
    Upload(Upload),
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Its name or id.
    document: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Their names or ids.
    #[arg(required_unless_present = "status", value_name = "DOCUMENT")]
    documents: Vec<String>,
    /// All that are pending, processing, processed, partial or failed.
    #[arg(long, conflicts_with = "documents")]
    status: Option<String>,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 8] = [
    Column("NAME", "/name", As::Text),
    Column("STATUS", "/status", As::Text),
    Column("SIZE", "/size_bytes", As::Bytes),
    Column("CHUNKS", "/counts/chunks", As::Number),
    Column("ENTITIES", "/counts/entities", As::Number),
    Column("AGE", "/updated_at", As::Age),
    Column("ERROR", "/error/code", As::Text),
    Column("REASON", "/error/detail", As::Text),
];
const CHUNKS: [Column; 3] = [
    Column("INDEX", "/index", As::Number),
    Column("TOKENS", "/tokens", As::Number),
    Column("TEXT", "/text", As::Text),
];
/// How many documents one request may name.
const AT_ONCE: usize = 1_000;

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { status, limit } => {
                let path = session.kb_path("documents").await?;
                let query = [("status", status.as_deref().unwrap_or_default())];
                session.output.list(&COLUMNS, &session.api.all(&path, &query, "documents", limit).await?)
            }
            Self::Show { document } => session.output.show(&shown(session, &document).await?),
            Self::Explain { document } => why(session, &document).await,
            Self::Tail { document } => follow_document(session, &document).await,
            Self::Chunks { document, limit } => {
                let path = format!("{}/chunks", path_of(session, &document).await?);
                session.output.list(&CHUNKS, &session.api.all(&path, &[], "chunks", limit).await?)
            }
            Self::Retry(retry) => retry.run(session).await,
            Self::Delete(delete) => delete.run(session).await,
            Self::Upload(upload) => upload.run(session).await,
        }
    }
}

async fn path_of(session: &Session, document: &str) -> Result<String, Failure> {
    session.kb_path(&format!("documents/{}", segment(&document_id(document)))).await
}

async fn shown(session: &Session, document: &str) -> Result<Value, Failure> {
    session.api.get(&path_of(session, document).await?).await
}

/// Says why the queue shows no job that a document waits for.
fn waiting(document: &str, found: &Value) -> String {
    let (status, waits) = (text(&found["status"]), &found["waits_for"]);
    let reasons = waits["reasons"].as_array().into_iter().flatten();
    let reasons: Vec<_> = reasons.map(|reason| text(&reason["text"])).collect();
    let job = text(&waits["job_id"]);
    format!("{document} is {status} and waits for what its job {job} began: {}", reasons.join("; "))
}

/// Explains the job that the document waits for, or says how it ended.
async fn why(session: &Session, document: &str) -> Result<(), Failure> {
    let found = shown(session, document).await?;
    let status = text(&found["status"]);
    let sentence = match status.as_str() {
        "processed" => format!("{document} is in the graph"),
        "partial" => format!(
            "{document} is in the graph without {} of its {} chunks, the first for: {} ({}). `tenantry documents retry \
             {document} --kb {}` extracts them once more",
            found["chunks_failed"],
            found["counts"]["chunks"],
            text(&found["failed_chunks"][0]["detail"]),
            text(&found["failed_chunks"][0]["code"]),
            session.kb()
        ),
        "failed" => format!(
            "{document} failed: {} ({})",
            text(&found["error"]["detail"]),
            text(&found["error"]["code"])
        ),
        _ => {
            let waits = &found["waits_for"];
            if waits["state"].as_str().is_some_and(|state| state != "unknown") {
                let tenant = session.tenant().await?;
                let job = jobs::shown(session, &text(&waits["job_id"])).await?;
                return explain(session, &tenant, &job);
            }
            waiting(document, &found)
        }
    };
    session.output.report(&found, &plain(&sentence))
}

impl Retry {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { document, change } = self;
        let path = format!("{}/retry", path_of(session, &document).await?);
        let done = change.send(session, Method::POST, &path, None).await?;
        session.output.done(&done, &format!("{document}: chunks that gave nothing are extracted once more"))
    }
}

impl Delete {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { documents, status, change } = self;
        let (tenant, kb) = (session.tenant().await?, session.kb());
        let number = match &status {
            Some(status) => {
                let path = session.kb_path("documents").await?;
                session.api.all(&path, &[("status", status)], "documents", None).await?.len()
            }
            None => documents.len(),
        };
        let number = count(number, "document", "documents");
        change.confirm(&format!("Delete {number} of the knowledge base {kb} of {tenant}"))?;
        if let [document] = documents.as_slice() {
            let done = change.send(session, Method::DELETE, &path_of(session, document).await?, None).await?;
            return session.output.done(&done, &format!("deleted {document}"));
        }
        let ids: Vec<_> = documents.iter().map(|document| document_id(document)).collect();
        let selections = match status {
            Some(status) => vec![json!({ "status": status })],
            None => ids.chunks(AT_ONCE).map(|ids| json!({ "ids": ids })).collect(),
        };
        let path = session.kb_path("documents/delete").await?;
        let mut deleted = 0;
        for selection in &selections {
            let done = change.send(session, Method::POST, &path, Some(selection)).await?;
            deleted += done["documents"].as_u64().unwrap_or_default();
        }
        session.output.done(&json!({ "deleted": deleted }), &format!("deleted {deleted} of {number}"))
    }
}
