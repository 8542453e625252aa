//! `tenantry doctor`: what is wrong, and the command that mends it.

use api_thin::program::{ApiCommand, from_environment, unknown_variables};
use chrono::{DateTime, Utc};
use clap::Args;
use futures::{StreamExt as _, stream};
use jobs::clock::{Clock as _, SystemClock};
use reqwest::Url;
use reqwest::header::{DATE, HeaderMap};
use serde_json::{Value, json};

use super::connection::{ConnectionSettings, Session, tenant_path};
use super::failure::Failure;
use super::output::{Output, plain, text};
use super::workers::{skills, without_workers};
use crate::worker_command::WorkerCommand;

/// How far apart two clocks may be: tokens are judged as if both were right.
const SKEW_S: i64 = 60;
/// Tenants whose jobs are counted, for an operator.
const TENANTS: usize = 1000;
const AT_ONCE: usize = 16;

/// Tries everything that a working installation needs, and says what is wrong and how to mend it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry doctor
  tenantry doctor --output json

Exit code 1: something is wrong.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    connection: ConnectionSettings,
    /// Try the settings of `tenantry api` and `tenantry worker` that are set on this machine too, with their servers.
    /// Where `REDIS_URL` is set, that is done anyway.
    #[arg(long)]
    local: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    /// These credentials cannot tell.
    Skipped,
    /// It works, and may not be as it should.
    Warning,
    Wrong,
}

/// What one check found.
#[derive(Debug)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    found: String,
    fix: Option<String>,
}

/// All checks.
#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.0.push(Check { name, outcome: Outcome::Ok, found: found.into(), fix: None });
    }

    fn skip(&mut self, name: &'static str, why: &str) {
        self.0.push(Check { name, outcome: Outcome::Skipped, found: why.to_owned(), fix: None });
    }

    fn warn(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Check { name, outcome: Outcome::Warning, found: found.into(), fix: Some(fix.into()) });
    }

    fn wrong(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Check { name, outcome: Outcome::Wrong, found: found.into(), fix: Some(fix.into()) });
    }

    fn json(&self) -> Value {
        let check = |Check { name, outcome, found, fix }: &Check| {
            let outcome = match outcome {
                Outcome::Ok => "ok",
                Outcome::Skipped => "skipped",
                Outcome::Warning => "warning",
                Outcome::Wrong => "wrong",
            };
            json!({ "check": name, "outcome": outcome, "found": found, "fix": fix })
        };
        self.0.iter().map(check).collect()
    }

    fn lines(&self) -> String {
        let mut lines = Vec::new();
        for Check { name, outcome, found, fix } in &self.0 {
            let mark = match outcome {
                Outcome::Ok => "ok",
                Outcome::Skipped => "skip",
                Outcome::Warning => "warn",
                Outcome::Wrong => "WRONG",
            };
            lines.push(format!("{mark:<6} {name:<13} {}", plain(found)));
            lines.extend(fix.as_ref().map(|fix| format!("{:<6} {:<13} fix: {}", "", "", plain(fix))));
        }
        lines.join("\n")
    }

    fn end(self, output: Output) -> Result<(), Failure> {
        output.report(&self.json(), &self.lines())?;
        let wrong = self.0.iter().filter(|check| check.outcome == Outcome::Wrong).count();
        if wrong == 0 {
            Ok(())
        } else {
            Err(Failure::Failed(format!("{wrong} of {} checks failed", self.0.len())))
        }
    }
}

impl Doctor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let output = self.connection.output();
        let mut report = Report::default();
        for warning in unknown_variables() {
            report.warn("environment", warning, "correct the name, or unset it");
        }
        match self.connection.open() {
            Ok(session) => remote(&session, &mut report).await,
            Err(failure) => report.wrong("profile", failure.to_string(), "see `tenantry profile set --help`"),
        }
        if self.local || std::env::var_os("REDIS_URL").is_some_and(|url| !url.is_empty()) {
            local(&mut report).await;
        }
        report.end(output)
    }
}

/// What can be seen of the installation over HTTP.
async fn remote(session: &Session, report: &mut Report) {
    let url = session.api.url();
    let shown = format!("{url}, of {}", session.source);
    if is_open(url) {
        report.warn("URL", format!("{shown}: the key can be read on its way"), "use an https:// URL");
    } else {
        report.ok("URL", shown);
    }
    let alive = match session.api.root("/healthz").await {
        Ok(alive) if alive.status.is_success() => alive,
        Ok(other) => {
            let found = format!("{url}/healthz answers HTTP {}", other.status.as_u16());
            return report.wrong("API", found, "correct the URL: `tenantry profile set NAME --url URL`");
        }
        Err(failure) => {
            let fix = "start `tenantry api` (or `tenantry dev`) there, or correct the URL: `tenantry profile set NAME \
                       --url URL`";
            return report.wrong("API", failure.to_string(), fix);
        }
    };
    clock(&alive.headers, report);
    version(session, report).await;
    ready(session, report).await;
    if let Some(me) = credentials(session, report).await {
        workers(session, &me, report).await;
        resting(session, &me, report).await;
        unfinished(session, &me, report).await;
    }
}

/// Whether others on the way can read what is sent.
fn is_open(url: &str) -> bool {
    let Ok(url) = url.parse::<Url>() else { return true };
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "http" && !is_here
}

fn clock(headers: &HeaderMap, report: &mut Report) {
    let theirs = headers.get(DATE).and_then(|date| date.to_str().ok());
    let theirs = theirs.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(theirs) = theirs else { return };
    match skew(theirs.to_utc(), SystemClock.now()) {
        0 => report.ok("clock", "as the API's"),
        apart => {
            let found = format!("{apart} s from the API's, so that tokens and schedules are misjudged");
            report.wrong("clock", found, "synchronise both machines: `timedatectl set-ntp true`");
        }
    }
}

/// How many seconds two clocks are apart, if that matters.
fn skew(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> i64 {
    let apart = (ours - theirs).num_seconds();
    if apart.abs() <= SKEW_S { 0 } else { apart }
}

async fn version(session: &Session, report: &mut Report) {
    let own = env!("CARGO_PKG_VERSION");
    let said = session
        .api
        .root("/")
        .await
        .ok()
        .and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
    match said.as_ref().and_then(|said| said["version"].as_str()) {
        Some(version) if version == own => report.ok("version", format!("{own}, as this program")),
        Some(version) => {
            let found = format!("the API is {version}, this program is {own}");
            report.warn("version", found, "install the same version of both");
        }
        None => report.wrong("version", "what answers is not Tenantry's API", "correct the URL"),
    }
}

/// Queue and catalog, and the policy of the queue's Redis.
async fn ready(session: &Session, report: &mut Report) {
    match session.api.root("/readyz").await {
        Ok(answer) if answer.status.is_success() => {
            report.ok("servers", "queue and catalog answer, and Redis keeps what it is given");
        }
        Ok(answer) => {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let fix = "`tenantry doctor --local` on the API's machine, with its settings, tries each server";
            report.wrong("servers", text(&problem["detail"]), fix);
        }
        Err(failure) => report.wrong("servers", failure.to_string(), "run this again"),
    }
}

async fn credentials(session: &Session, report: &mut Report) -> Option<Value> {
    let fix = "`tenantry profile set NAME --key -` stores a key; `tenantry keys create` makes one";
    if !session.has_key {
        report.wrong("credentials", "no key is given", fix);
        return None;
    }
    match session.api.get("/auth/me").await {
        Ok(me) => {
            let whose = match (me["operator"] == true, me["tenant_id"].as_str()) {
                (true, _) => "may do what an operator may".to_owned(),
                (false, Some(tenant)) => format!("{} of {tenant}", text(&me["role"])),
                (false, None) => "of no tenant".to_owned(),
            };
            report.ok("credentials", format!("{}, {whose}", text(&me["actor"])));
            Some(me)
        }
        Err(failure) => {
            report.wrong("credentials", failure.to_string(), fix);
            None
        }
    }
}

async fn workers(session: &Session, me: &Value, report: &mut Report) {
    if me["operator"] != true {
        return report.skip("workers", "only the operator's key can see them");
    }
    match skills(session).await.map(|skills| without_workers(&skills)) {
        Ok(idle) if idle.is_empty() => report.ok("workers", "a live worker runs each job type"),
        Ok(idle) => {
            let found = format!("no live worker runs {}", idle.join(", "));
            report.wrong("workers", found, "start `tenantry worker` with the API's settings");
        }
        Err(failure) => report.wrong("workers", failure.to_string(), "run this again"),
    }
}

/// Workers that were told to claim nothing, which is easily forgotten.
async fn resting(session: &Session, me: &Value, report: &mut Report) {
    if me["operator"] != true {
        return;
    }
    // That they cannot be listed was said before.
    let Ok(all) = session.api.all("/workers", &[], "workers", None).await else { return };
    let resting: Vec<_> = all.iter().filter(|worker| worker["fetching"] == false).collect();
    let Some(first) = resting.first() else { return };
    let told = &first["not_fetching"];
    let found = format!(
        "{} of {} workers were told to stop fetching, {} since {} by {}: {}",
        resting.len(),
        all.len(),
        text(&first["id"]),
        text(&told["since"]),
        text(&told["by"]),
        told["reason"].as_str().unwrap_or("no reason was given"),
    );
    let fix = format!("`tenantry workers resume-fetching {}` lets it go on", text(&first["id"]));
    if resting.len() == all.len() {
        report.wrong("fetching", found, fix);
    } else {
        report.warn("fetching", found, fix);
    }
}

/// Jobs that wait for a person.
async fn unfinished(session: &Session, me: &Value, report: &mut Report) {
    let tenants = match (session.named_tenant(), me["operator"] == true) {
        (None, true) => session.api.all("/tenants", &[], "tenants", Some(TENANTS)).await.map(|tenants| {
            tenants.iter().filter_map(|tenant| tenant["id"].as_str().map(str::to_owned)).collect()
        }),
        _ => session.tenant().await.map(|tenant| vec![tenant]),
    };
    let tenants: Vec<String> = match tenants {
        Ok(tenants) => tenants,
        Err(failure) => return report.warn("tenants", failure.to_string(), "give --tenant"),
    };
    let number = tenants.len();
    let counts = tenants.into_iter().map(|tenant| async {
        let found = session.api.get(&tenant_path(&tenant, "jobs?limit=1")).await;
        (tenant, found)
    });
    let counts: Vec<_> = stream::iter(counts).buffered(AT_ONCE).collect().await;
    let before = report.0.len();
    for (tenant, found) in counts {
        let Ok(found) = found else { continue };
        let count = |state: &str| found["counts"][state].as_u64().unwrap_or_default();
        for (state, name, list) in
            [("discarded", "dead letters", "list"), ("quarantined", "quarantine", "list --quarantine")]
        {
            if count(state) > 0 {
                let fix = format!(
                    "`tenantry dead-letters {list} --tenant {tenant}` shows them, `retry` and `purge` end them"
                );
                report.warn(name, format!("{tenant} has {}", count(state)), fix);
            }
        }
        if let Some(waiting) = found["waiting_for_a_worker"].as_object().filter(|waiting| !waiting.is_empty())
        {
            let kinds: Vec<_> = waiting.keys().map(String::as_str).collect();
            let found = format!("jobs of {tenant} wait for a worker that runs {}", kinds.join(", "));
            report.wrong("waiting", found, "start `tenantry worker`");
        }
    }
    if report.0.len() == before {
        report.ok(
            "tenants",
            format!("of {number} looked at, none has dead letters, quarantine or jobs without a worker"),
        );
    }
}

/// The settings of this machine, and the servers that they name.
async fn local(report: &mut Report) {
    match from_environment::<ApiCommand>() {
        Err(line) => report.wrong("api settings", line, "see `tenantry api --help`"),
        Ok(api) => {
            for (name, tried) in api.check().await {
                match tried {
                    Ok(()) => report.ok(name, "can be used"),
                    Err(line) => report.wrong(name, line, "correct it, and start `tenantry api` again"),
                }
            }
        }
    }
    match from_environment::<WorkerCommand>() {
        Err(line) => report.wrong("worker settings", line, "see `tenantry worker --help`"),
        Ok(_) => report.ok("worker settings", "can be used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_a_minute_apart() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let ours = at("2027-01-15T12:00:00Z");
        assert_eq!(skew(at("2027-01-15T11:59:01Z"), ours), 0);
        assert_eq!(skew(at("2027-01-15T11:58:00Z"), ours), 120);
        assert_eq!(skew(at("2027-01-15T12:05:00Z"), ours), -300);
    }

    #[test]
    fn plain_http_is_fine_on_this_machine_alone() {
        for (url, expected) in [
            ("http://localhost:8080", false),
            ("http://127.0.0.1:1", false),
            ("http://[::1]:1", false),
            ("https://example.com", false),
            ("http://example.com", true),
            ("http://localhost.example.com", true),
        ] {
            assert_eq!(is_open(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_stands_beside_its_fix() {
        let mut report = Report::default();
        report.ok("URL", "http://localhost:8080");
        report.wrong("workers", "no live worker runs a.b", "start `tenantry worker`");
        assert_eq!(
            report.lines(),
            "ok     URL           http://localhost:8080\nWRONG  workers       no live worker runs a.b\n                     \
             fix: start `tenantry worker`"
        );
        assert_eq!(report.json()[1]["outcome"], "wrong");
    }
}
