//! `tenantry keys`: the API keys of a tenant.

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
    /// Lists the keys that were not revoked, without their secrets.
    #[command(after_help = "Examples:
  tenantry keys list")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a key, without its secret.
    #[command(after_help = "Examples:
  tenantry keys show KEY")]
    Show {
        /// Its id, the third part of the key.
        id: String,
    },
    /// Makes a key and shows its secret, this once.
    #[command(after_help = "Examples:
  tenantry keys create importer --role EDITOR --permission document:create --only-kb default
  tenantry keys create auditor --role VIEWER --expires-at 2030-01-01T00:00:00Z --output json")]
    Create(Create),
    /// Gives a key another secret and shows it, this once.
    #[command(after_help = "Examples:
  tenantry keys rotate KEY --grace-s 3600 --yes")]
    Rotate(Rotate),
    /// Ends a key. What it queued does not run.
    #[command(after_help = "Examples:
  tenantry keys revoke KEY --reason 'left the company' --yes")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What people call it.
    name: String,
    /// ADMIN, EDITOR, VIEWER or `VIEWER_READONLY`. EDITOR by default.
    #[arg(long)]
    role: Option<String>,
    /// The only knowledge base that it reaches.
    #[arg(long, value_name = "KB")]
    only_kb: Option<String>,
    /// What of its role it may do, such as `document:create`; everything by default.
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Vec<String>,
    /// When it expires, such as 2030-01-01T00:00:00Z; never by default.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Its id, the third part of the key.
    id: String,
    /// How long the secret before goes on to work, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace_s: u32,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Its id, the third part of the key.
    id: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 7] = [
    Column("ID", "/id", As::Text),
    Column("NAME", "/name", As::Text),
    Column("ROLE", "/role", As::Text),
    Column("KB", "/kb_id", As::Text),
    Column("LAST USED", "/last_used_at", As::Age),
    Column("EXPIRES", "/expires_at", As::Age),
    Column("MADE BY", "/created_by", As::Text),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { limit } => {
                let path = session.tenant_path("api-keys").await?;
                session.output.list(&COLUMNS, &session.api.all(&path, &[], "api_keys", limit).await?)
            }
            Self::Show { id } => session.output.show(&session.api.get(&path_of(session, &id).await?).await?),
            Self::Create(create) => create.run(session).await,
            Self::Rotate(Rotate { id, grace_s, change }) => {
                change.confirm(&format!(
                    "Give the API key {id} another secret; the one before ends in {grace_s} s"
                ))?;
                let path = format!("{}/rotate", path_of(session, &id).await?);
                let body = json!({ "grace_s": grace_s });
                session.output.show(&change.send(session, Method::POST, &path, Some(&body)).await?)
            }
            Self::Revoke(Revoke { id, change }) => {
                let path = path_of(session, &id).await?;
                let name = session.api.get(&path).await?["name"].take();
                change.confirm(&format!("Revoke the API key {id}, {}", name.as_str().unwrap_or_default()))?;
                change.send(session, Method::DELETE, &path, None).await?;
                session.output.done(&json!({ "revoked": id }), &format!("revoked {id}"))
            }
        }
    }
}

async fn path_of(session: &Session, id: &str) -> Result<String, Failure> {
    session.tenant_path(&format!("api-keys/{}", segment(id))).await
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { name, role, only_kb, permissions, expires_at, reason } = self;
        let mut body = json!({ "name": name });
        for (field, value) in [("role", role), ("kb_id", only_kb), ("expires_at", expires_at)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        if !permissions.is_empty() {
            body["permissions"] = json!(permissions);
        }
        let path = session.tenant_path("api-keys").await?;
        session.output.show(&session.api.change(Method::POST, &path, Some(&body), reason.as_deref()).await?)
    }
}
