//! `tenantry audit`: who changed what, and why.

use clap::Subcommand;

use super::Run;
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists changes, newest first: of the tenant, or, for operators who name none, of the whole installation.
    #[command(after_help = "Examples:
  tenantry audit list
  tenantry audit list --limit 1000 --output json")]
    List {
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
}

const COLUMNS: [Column; 7] = [
    Column("AT (UTC)", "/at", As::Time),
    Column("ACTOR", "/actor", As::Text),
    Column("ACTION", "/action", As::Text),
    Column("TARGET", "/target", As::Text),
    Column("REASON", "/reason", As::Text),
    Column("STATUS", "/status", As::Number),
    Column("REQUEST", "/request_id", As::Text),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::List { limit } = self;
        let path = match session.named_tenant() {
            Some(_) => session.tenant_path("audit").await?,
            None if session.api.get("/auth/me").await?["operator"] == true => "/audit".to_owned(),
            None => session.tenant_path("audit").await?,
        };
        session.output.list(&COLUMNS, &session.api.all(&path, &[], "entries", Some(limit)).await?)
    }
}
