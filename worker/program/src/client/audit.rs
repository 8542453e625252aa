//! `tenantry audit`: who changed what, and why.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::Run;
use super::connection::Session;
use super::failure::Failure;
use super::job_filter::moment;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists changes, newest first: of the tenant, or, for operators who name none, of the whole installation.
    #[command(after_help = "Examples:
  tenantry audit list --since 7d
  tenantry audit list --action flow_pause --limit 1000 --output json")]
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only what this actor did: an identity such as `local:ann`, `api_key:ID`, or `operator`.
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as `flow_pause` or `cancel_matching`.
    #[arg(long)]
    action: Option<String>,
    /// Only what is not older: `2027-01-15T08:00:00Z`, or an age such as 90s, 15m, 2h, 7d.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Only what is older.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

const COLUMNS: [Column; 8] = [
    Column("AT (UTC)", "/at", As::Time),
    Column("TENANT", "/tenant", As::Text),
    Column("ACTOR", "/actor", As::Text),
    Column("ACTION", "/action", As::Text),
    Column("TARGET", "/target", As::Text),
    Column("REASON", "/reason", As::Text),
    Column("STATUS", "/status", As::Number),
    Column("REQUEST", "/request_id", As::Text),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::List(List { actor, action, since, until, limit }) = self;
        let path = match session.named_tenant() {
            None if session.is_operator().await? => "/audit".to_owned(),
            _ => session.tenant_path("audit").await?,
        };
        let time = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let query = [
            ("actor", actor.unwrap_or_default()),
            ("action", action.unwrap_or_default()),
            ("since", time(since)),
            ("until", time(until)),
        ];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        session.output.list(&COLUMNS, &session.api.all(&path, &query, "entries", Some(limit)).await?)
    }
}
