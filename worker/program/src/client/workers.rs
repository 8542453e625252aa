//! `tenantry workers`: which job types live workers run, and which none does.

use clap::Subcommand;
use jobs::JobKind;
use serde_json::Value;

use super::Run;
use super::connection::Session;
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the types and versions of jobs with the number of live workers that run each. For operators.
    #[command(after_help = "Examples:
  tenantry workers list")]
    List,
}

const COLUMNS: [Column; 4] = [
    Column("TYPE", "/lane", As::Text),
    Column("QUEUE", "/queue", As::Text),
    Column("WORKERS", "/workers", As::Number),
    Column("TENANTS WAITING", "/ready_tenants", As::Number),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::List = self;
        session.output.list(&COLUMNS, &lanes(session).await?)
    }
}

/// The types and versions of jobs that the queue knows.
pub(super) async fn lanes(session: &Session) -> Result<Vec<Value>, Failure> {
    session.api.all("/lanes", &[], "lanes", None).await
}

/// The product's types that no live worker runs, and other types for which jobs wait.
pub(super) fn without_workers(lanes: &[Value]) -> Vec<String> {
    let kind =
        |lane: &Value| lane["lane"].as_str().and_then(|lane| Some(lane.rsplit_once('@')?.0.to_owned()));
    let runs =
        |name: &str| lanes.iter().any(|lane| kind(lane).as_deref() == Some(name) && lane["workers"] != 0);
    let product = JobKind::ALL.iter().map(|kind| kind.as_str()).filter(|name| !runs(name)).map(str::to_owned);
    let waits = |lane: &&Value| lane["workers"] == 0 && lane["ready_tenants"] != 0;
    let waiting = lanes.iter().filter(waits).filter_map(|lane| lane["lane"].as_str().map(str::to_owned));
    let is_other = |lane: &String| {
        !JobKind::ALL.iter().any(|kind| lane.starts_with(&format!("{kind}@")) && !runs(kind.as_str()))
    };
    product.chain(waiting.filter(is_other)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_that_no_worker_runs_are_named_once() {
        let lane = |lane: &str, workers: u64, ready: u64| json!({ "lane": lane, "workers": workers, "ready_tenants": ready });
        let mut lanes: Vec<_> = JobKind::ALL.iter().map(|kind| lane(&format!("{kind}@1"), 1, 0)).collect();
        assert_eq!(without_workers(&lanes), [""; 0]);
        lanes[0] = lane("tenant.provision@1", 0, 2);
        lanes.push(lane("document.ingest@2", 0, 1));
        lanes.push(lane("invoice.send@1", 0, 0));
        assert_eq!(without_workers(&lanes), ["tenant.provision", "document.ingest@2"]);
        assert_eq!(without_workers(&[]).len(), JobKind::ALL.len());
    }
}
