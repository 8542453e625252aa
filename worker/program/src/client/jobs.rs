//! `tenantry jobs`: what a tenant has in the queue.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};
use jobs::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::{Session, tenant_path};
use super::explain::explain;
use super::failure::Failure;
use super::job_filter::{JobFilter, length};
use super::output::{As, Column};
use super::tail::Tail;

/// Jobs are not counted beyond this before a question.
const COUNTED: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the jobs that will still run, of one knowledge base with --kb.
    #[command(after_help = "Examples:
  tenantry jobs list --state available,retryable --type document.ingest
  tenantry jobs list --batch BATCH --priority high,normal
  tenantry jobs list --created-before 2h --output json")]
    List(List),
    /// Shows a job.
    #[command(after_help = "Examples:
  tenantry jobs show JOB")]
    Show {
        /// Its id.
        job: String,
    },
    /// Says why a job waits, and what would help.
    #[command(after_help = "Examples:
  tenantry jobs explain JOB")]
    Explain {
        /// Its id.
        job: String,
    },
    /// Cancels jobs: those named, those that match flags, or all.
    #[command(after_help = "Examples:
  tenantry jobs cancel JOB --yes
  tenantry jobs cancel --type kb.reindex --reason 'wrong folder' --yes
  tenantry jobs cancel --all --yes")]
    Cancel(Cancel),
    /// Gives a job that waits for its time, or for its next attempt, another time; one that has passed is now.
    #[command(after_help = "Examples:
  tenantry jobs reschedule JOB --in 2h
  tenantry jobs reschedule JOB --at 2020-01-01T00:00:00Z --reason 'the model is back'

Exit code 1: the job waits for no time, or has ended: nothing was changed.")]
    Reschedule(Reschedule),
    /// Follows a job, documents or everything of the tenant to its end.
    #[command(after_help = "Examples:
  tenantry jobs tail
  tenantry jobs tail --document notes.md")]
    Tail(Tail),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: JobFilter,
    /// Only in these states: scheduled, available, active, retryable, parked.
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',')]
    states: Vec<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Reschedule {
    /// Its id.
    job: String,
    #[command(flatten)]
    time: NewTime,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewTime {
    /// When it may start: a moment such as `2027-01-15T08:00:00Z`, at most 366 days ahead.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// How long from now: 90s, 15m, 2h, 7d.
    #[arg(long = "in", value_name = "DURATION", value_parser = ahead)]
    in_: Option<TimeDelta>,
}

fn ahead(text: &str) -> Result<TimeDelta, &'static str> {
    length(text).ok_or("expected a length of time such as 90s, 15m, 2h, 7d")
}

impl NewTime {
    /// The moment. clap sees to it that there is one.
    fn moment(&self) -> DateTime<Utc> {
        let ahead = self.in_.and_then(|ahead| SystemClock.now().checked_add_signed(ahead));
        self.at.or(ahead).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Their ids.
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Every job of the tenant.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: JobFilter,
    /// Only in these states: scheduled, available, active, retryable, parked.
    #[arg(long = "state", value_name = "STATES", value_delimiter = ',')]
    states: Vec<String>,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 9] = [
    Column("ID", "/id", As::Text),
    Column("TYPE", "/type", As::Text),
    Column("QUEUE", "/queue", As::Text),
    Column("STATE", "/state", As::Text),
    Column("LANE", "/lane", As::Text),
    Column("PRIORITY", "/priority", As::Text),
    Column("ATTEMPT", "/attempt", As::Number),
    Column("KB", "/kb_id", As::Text),
    Column("AGE", "/created_at", As::Age),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(List { filter, states, limit }) => {
                let found = listed(session, &filter, &states, limit).await?;
                session.output.list(&COLUMNS, &found)
            }
            Self::Show { job } => session.output.show(&shown(session, &job).await?),
            Self::Explain { job } => {
                let tenant = session.tenant().await?;
                explain(session, &tenant, &shown(session, &job).await?)
            }
            Self::Cancel(cancel) => cancel.run(session).await,
            Self::Reschedule(reschedule) => reschedule.run(session).await,
            Self::Tail(tail) => tail.run(session).await,
        }
    }
}

/// A job as the API shows it.
pub(super) async fn shown(session: &Session, job: &str) -> Result<Value, Failure> {
    session.api.get(&session.tenant_path(&format!("jobs/{}", segment(job))).await?).await
}

/// The open jobs of the tenant that match.
async fn listed(
    session: &Session,
    filter: &JobFilter,
    states: &[String],
    limit: Option<usize>,
) -> Result<Vec<Value>, Failure> {
    let (chosen, states) = (filter.query(), states.join(","));
    let kb = session.given_kb.clone().unwrap_or_default();
    let mut query = vec![("state", &*states), ("kb_id", &*kb)];
    query.extend(chosen.iter().map(|(name, value)| (*name, &**value)));
    let path = session.tenant_path("jobs").await?;
    session.api.all(&path, &query, "jobs", limit).await
}

impl Reschedule {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { job, time, reason } = self;
        let at = time.moment();
        let path = session.tenant_path(&format!("jobs/{}/reschedule", segment(&job))).await?;
        let body = json!({ "scheduled_at": at });
        let done = session.api.change(Method::POST, &path, Some(&body), reason.as_deref()).await?;
        let why = match done["outcome"].as_str() {
            Some("rescheduled") => {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                return session.output.done(&done, &format!("{job} may start at {at}"));
            }
            Some("ended") => "has ended",
            _ => "waits for no time",
        };
        Err(Failure::Failed(format!("the job {why}: nothing was changed")))
    }
}

impl Cancel {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let tenant = session.tenant().await?;
        let is_filter = !self.filter.is_empty() || !self.states.is_empty() || session.given_kb.is_some();
        match (self.jobs.as_slice(), self.all, is_filter) {
            ([_, ..], false, false) => self.named(session, &tenant).await,
            ([], true, false) => self.everything(session, &tenant).await,
            ([], false, true) => self.matching(session, &tenant).await,
            _ => {
                Err(Failure::Usage("say which jobs: their ids, or flags such as --type, or --all".to_owned()))
            }
        }
    }

    async fn named(&self, session: &Session, tenant: &str) -> Result<(), Failure> {
        self.change.confirm(&format!("Cancel {} of {tenant}", count(self.jobs.len(), "job", "jobs")))?;
        let mut outcomes = Vec::new();
        for job in &self.jobs {
            let path = tenant_path(tenant, &format!("jobs/{}", segment(job)));
            outcomes.push(self.change.send(session, Method::DELETE, &path, None).await?);
        }
        session
            .output
            .list(&[Column("ID", "/job_id", As::Text), Column("OUTCOME", "/outcome", As::Text)], &outcomes)
    }

    async fn everything(&self, session: &Session, tenant: &str) -> Result<(), Failure> {
        let counts = session.api.get(&tenant_path(tenant, "jobs?limit=1")).await?;
        let number = |state: &str| counts["counts"][state].as_u64().unwrap_or_default();
        let waiting: u64 = ["available", "scheduled", "retryable", "parked"].map(number).iter().sum();
        let running = number("active");
        self.change.confirm(&format!("Cancel every job of {tenant}: {waiting} wait and {running} run"))?;
        let done =
            self.change.send(session, Method::POST, &tenant_path(tenant, "jobs/cancel-all"), None).await?;
        finished(session, &done)
    }

    async fn matching(&self, session: &Session, tenant: &str) -> Result<(), Failure> {
        let found = listed(session, &self.filter, &self.states, Some(COUNTED)).await?.len();
        let more = if found == COUNTED { " or more" } else { "" };
        self.change.confirm(&format!("Cancel {}{more} of {tenant}", count(found, "job", "jobs")))?;
        let mut body = self.filter.body(session.given_kb.as_deref());
        body["states"] = json!(self.states);
        let (mut cancelled, mut stopping) = (0, 0);
        loop {
            let path = tenant_path(tenant, "jobs/cancel");
            let done = self.change.send(session, Method::POST, &path, Some(&body)).await?;
            let now = done["cancelled"].as_u64().unwrap_or_default();
            cancelled += now;
            stopping = done["stopping"].as_u64().unwrap_or_default().max(stopping);
            // Those that are stopping match until they have stopped.
            if done["more"] != true || now == 0 {
                return finished(session, &json!({ "cancelled": cancelled, "stopping": stopping }));
            }
        }
    }
}

fn finished(session: &Session, done: &Value) -> Result<(), Failure> {
    let (cancelled, stopping) = (&done["cancelled"], &done["stopping"]);
    session.output.done(done, &format!("{cancelled} cancelled, {stopping} stopping"))
}
