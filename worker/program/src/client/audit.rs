//! `tenantry audit`: who changed what, and why.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::Run;
use super::connection::{Session, tenant_path};
use super::failure::Failure;
use super::job_filter::moment;
use super::output::{As, Column, text};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists changes, newest first: of the tenant, or, for operators who name none, of the whole installation.
    #[command(after_help = "Examples:
  tenantry audit list --since 7d
  tenantry audit list --action flow_pause --limit 1000 --output json")]
    List(List),
    /// Checks that nothing in the audit log was changed or removed: in that of the tenant, or, for operators who name
    /// none, in the operator's and in those of all tenants. Exits with 1 when something was.
    ///
    /// Each entry has a number and the hash of itself together with that of the entry before. Write down what this
    /// prints as the head: given later, as in `--head 41:9f86d081884c7d65`, it also shows whether the log was written
    /// anew up to there.
    #[command(after_help = "Examples:
  tenantry audit verify
  tenantry audit verify --tenant acme --output json")]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A head of an earlier check of one log: its number and its hash, or the first digits of it.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
    head: Option<(u64, String)>,
}

/// Reads a head as it is printed.
fn head(text: &str) -> Result<(u64, String), String> {
    let parts = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
    let hash = |hash: &str| hash.trim_end_matches('…').to_ascii_lowercase();
    match parts.map(|(number, text)| (number, hash(text))) {
        Some((number, hash)) if hash.len() >= 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            Ok((number, hash))
        }
        _ => Err("write the number, a colon, and at least 8 digits of the hash, as `verify` prints them"
            .to_owned()),
    }
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
        match self {
            Self::List(list) => list.run(session).await,
            Self::Verify(verify) => verify.run(session).await,
        }
    }
}

impl Run for List {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { actor, action, since, until, limit } = self;
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

const CHECKED: [Column; 4] = [
    Column("LOG", "/log", As::Text),
    Column("ENTRIES", "/entries", As::Number),
    Column("HEAD", "/printed_head", As::Text),
    Column("FOUND", "/found", As::Text),
];

impl Run for Verify {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut logs = Vec::new();
        if session.named_tenant().is_none() && session.is_operator().await? {
            logs.push(("operator".to_owned(), "/audit/check".to_owned()));
            if self.head.is_none() {
                for tenant in session.api.all("/tenants", &[], "tenants", None).await? {
                    let id = text(&tenant["tenant_id"]);
                    let path = tenant_path(&id, "audit/check");
                    logs.push((id, path));
                }
            }
        } else {
            logs.push((session.tenant().await?, session.tenant_path("audit/check").await?));
        }
        let (mut checks, mut flaws) = (Vec::new(), 0);
        for (log, path) in logs {
            let path = match &self.head {
                Some((number, _)) => format!("{path}?number={number}"),
                None => path,
            };
            let mut check = session.api.get(&path).await?;
            let found = flaw(&check, self.head.as_ref());
            flaws += usize::from(found.is_some());
            check["log"] = log.into();
            check["printed_head"] =
                format!("{}:{}", check["head"]["number"], text(&check["head"]["hash"])).into();
            check["found"] = found.unwrap_or_else(|| "as it was written".to_owned()).into();
            checks.push(check);
        }
        session.output.list(&CHECKED, &checks)?;
        match flaws {
            0 => Ok(()),
            flaws => Err(Failure::Failed(format!(
                "{flaws} of {} audit logs are not as they were written",
                checks.len()
            ))),
        }
    }
}

/// What is wrong with a log, in words.
fn flaw(check: &Value, head: Option<&(u64, String)>) -> Option<String> {
    let flaw = &check["flaw"];
    match flaw["code"].as_str() {
        Some("missing") => return Some(format!("entry {} is missing", flaw["number"])),
        Some(_) => return Some(format!("entry {} was changed: {}", flaw["number"], text(&flaw["id"]))),
        None => {}
    }
    let (number, hash) = head?;
    if check["head"]["number"] != *number {
        return Some(format!("entry {number} is missing"));
    }
    let is_same = text(&check["head"]["hash"]).starts_with(hash.as_str());
    (!is_same).then(|| format!("entry {number} has another hash than was noted"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        assert_eq!(head("41:9F86d081…").unwrap(), (41, "9f86d081".to_owned()));
        for wrong in ["41", "41:", "41:9f86", "x:9f86d081", "41:9f86d08x"] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |flaw: Value| json!({ "flaw": flaw, "head": { "number": 3, "hash": "9f86d0810" } });
        assert_eq!(flaw(&check(Value::Null), None), None);
        assert_eq!(flaw(&check(Value::Null), Some(&(3, "9f86d081".to_owned()))), None);
        let other = flaw(&check(Value::Null), Some(&(3, "9f86d082".to_owned())));
        assert_eq!(other.unwrap(), "entry 3 has another hash than was noted");
        assert_eq!(
            flaw(&check(Value::Null), Some(&(4, "9f86d081".to_owned()))).unwrap(),
            "entry 4 is missing"
        );
        let missing = check(json!({ "code": "missing", "number": 2, "id": null }));
        assert_eq!(flaw(&missing, None).unwrap(), "entry 2 is missing");
    }
}
