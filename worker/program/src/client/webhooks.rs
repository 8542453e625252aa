//! `tenantry webhooks`: who is told of what happens, and what became of it.

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
    /// Lists the webhooks of the tenant.
    #[command(after_help = "Examples:
  tenantry webhooks list")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows a webhook, without its secret.
    #[command(after_help = "Examples:
  tenantry webhooks show WEBHOOK")]
    Show {
        /// Its id.
        id: String,
    },
    /// Makes a webhook and shows its secret, this once.
    #[command(after_help = "Examples:
  tenantry webhooks add https://hooks.example.com/tenantry
  tenantry webhooks add https://hooks.example.com/jobs --event job.failed,job.cancelled --description pager")]
    Add(Add),
    /// Changes a webhook, or enables or disables it.
    #[command(after_help = "Examples:
  tenantry webhooks set WEBHOOK --event document.failed
  tenantry webhooks set WEBHOOK --enabled false --reason maintenance")]
    Set(Set),
    /// Gives a webhook another secret and shows it, this once.
    #[command(after_help = "Examples:
  tenantry webhooks rotate WEBHOOK --grace-s 3600 --yes")]
    Rotate(Rotate),
    /// Sends an event that tests a webhook.
    #[command(after_help = "Examples:
  tenantry webhooks test WEBHOOK")]
    Test(Changed),
    /// Lists what became of the events of a webhook, newest first, or shows one with each attempt.
    #[command(after_help = "Examples:
  tenantry webhooks deliveries WEBHOOK --state failed
  tenantry webhooks deliveries WEBHOOK EVENT")]
    Deliveries(Deliveries),
    /// Delivers an event once more.
    #[command(after_help = "Examples:
  tenantry webhooks redeliver WEBHOOK EVENT")]
    Redeliver(Redeliver),
    /// Removes a webhook with its deliveries.
    #[command(after_help = "Examples:
  tenantry webhooks remove WEBHOOK --yes")]
    Remove(Changed),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Where it is: `https`, at a public address.
    // Another id than that of the flag with the API's address.
    #[arg(id = "target", value_name = "URL")]
    url: String,
    /// What it is told of, such as `document.processed`.
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',',
        default_values = ["document.processed", "document.failed"])]
    events: Vec<String>,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its id.
    id: String,
    /// Another URL.
    #[arg(id = "target", long = "target", value_name = "URL")]
    url: Option<String>,
    /// What it is told of from now on.
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether it is told of anything.
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Its id.
    id: String,
    /// How long deliveries are signed with the secret before as well, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    grace_s: u32,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Changed {
    /// Its id.
    id: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    /// The id of the webhook.
    id: String,
    /// Only this event, with each attempt.
    event: Option<String>,
    /// Only those that are pending, queued, delivered, failed or cancelled.
    #[arg(long)]
    state: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Redeliver {
    /// The id of the webhook.
    id: String,
    /// The id of the event.
    event: String,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 6] = [
    Column("ID", "/id", As::Text),
    Column("URL", "/url", As::Text),
    Column("EVENTS", "/events", As::Text),
    Column("ENABLED", "/enabled", As::Text),
    Column("DISABLED", "/disabled_reason", As::Text),
    Column("FAILING", "/failing_since", As::Age),
];

const DELIVERIES: [Column; 8] = [
    Column("EVENT", "/event_id", As::Text),
    Column("TYPE", "/type", As::Text),
    Column("AT", "/occurred_at", As::Age),
    Column("STATE", "/state", As::Text),
    Column("TRIES", "/attempts", As::Number),
    Column("STATUS", "/last_status", As::Number),
    Column("ERROR", "/last_error", As::Text),
    Column("NEXT", "/next_attempt_at", As::Age),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { limit } => {
                let path = session.tenant_path("webhooks").await?;
                session.output.list(&COLUMNS, &session.api.all(&path, &[], "webhooks", limit).await?)
            }
            Self::Show { id } => session.output.show(&session.api.get(&path_of(session, &id).await?).await?),
            Self::Add(add) => add.run(session).await,
            Self::Set(set) => set.run(session).await,
            Self::Rotate(Rotate { id, grace_s, change }) => {
                change.confirm(&format!(
                    "Give the webhook {id} another secret; the one before ends in {grace_s} s"
                ))?;
                let path = format!("{}/rotate", path_of(session, &id).await?);
                let body = json!({ "grace_s": grace_s });
                session.output.show(&change.send(session, Method::POST, &path, Some(&body)).await?)
            }
            Self::Test(Changed { id, change }) => {
                let path = format!("{}/test", path_of(session, &id).await?);
                sent(session, &change, &path, &id).await
            }
            Self::Deliveries(deliveries) => deliveries.run(session).await,
            Self::Redeliver(Redeliver { id, event, change }) => {
                let of = path_of(session, &id).await?;
                sent(session, &change, &format!("{of}/deliveries/{}/redeliver", segment(&event)), &id).await
            }
            Self::Remove(Changed { id, change }) => {
                let path = path_of(session, &id).await?;
                let url = session.api.get(&path).await?["url"].take();
                let url = url.as_str().unwrap_or_default();
                change.confirm(&format!("Remove the webhook {id}, {url}, with its deliveries"))?;
                change.send(session, Method::DELETE, &path, None).await?;
                session.output.done(&json!({ "removed": id }), &format!("removed {id}"))
            }
        }
    }
}

async fn path_of(session: &Session, id: &str) -> Result<String, Failure> {
    session.tenant_path(&format!("webhooks/{}", segment(id))).await
}

/// Asks for a delivery, and says where to see what comes of it.
async fn sent(session: &Session, change: &Change, path: &str, id: &str) -> Result<(), Failure> {
    let done = change.send(session, Method::POST, path, None).await?;
    let event = done["event_id"].as_str().unwrap_or_default();
    let sentence = format!("on its way; `tenantry webhooks deliveries {id} {event}` shows what came of it");
    session.output.done(&done, &sentence)
}

impl Add {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { url, events, description, reason } = self;
        let mut body = json!({ "url": url, "events": events });
        if let Some(description) = description {
            body["description"] = json!(description);
        }
        let path = session.tenant_path("webhooks").await?;
        session.output.show(&session.api.change(Method::POST, &path, Some(&body), reason.as_deref()).await?)
    }
}

impl Set {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { id, url, events, description, enabled, change } = self;
        let mut body = json!({});
        for (field, value) in [("url", url), ("description", description)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        if !events.is_empty() {
            body["events"] = json!(events);
        }
        if let Some(enabled) = enabled {
            body["enabled"] = json!(enabled);
        }
        let path = path_of(session, &id).await?;
        session.output.show(&change.send(session, Method::PATCH, &path, Some(&body)).await?)
    }
}

impl Deliveries {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { id, event, state, limit } = self;
        let path = format!("{}/deliveries", path_of(session, &id).await?);
        if let Some(event) = event {
            let path = format!("{path}/{}", segment(&event));
            return session.output.show(&session.api.get(&path).await?);
        }
        let query = [("state", state.as_deref().unwrap_or_default())];
        session.output.list(&DELIVERIES, &session.api.all(&path, &query, "deliveries", limit).await?)
    }
}
