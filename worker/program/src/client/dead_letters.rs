//! `tenantry dead-letters`: jobs that will not run by themselves.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use super::api::segment;
use super::change::{Change, count};
use super::connection::{Session, tenant_path};
use super::failure::Failure;
use super::job_filter::JobFilter;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the jobs whose attempts are used up, newest first; of one knowledge base with --kb.
    #[command(after_help = "Examples:
  tenantry dead-letters list
  tenantry dead-letters list --batch BATCH
  tenantry dead-letters list --quarantine --output json")]
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Shows everything about one, but its stamp.
    #[command(after_help = "Examples:
  tenantry dead-letters show DEAD_JOB")]
    Show {
        /// Its id.
        job: String,
    },
    /// Starts jobs again with all their attempts: those named, those that match flags, or all.
    #[command(after_help = "Examples:
  tenantry dead-letters retry DEAD_JOB
  tenantry dead-letters retry --reason-code transient --yes")]
    Retry(Selection),
    /// Throws jobs away for good: those named, those that match flags, or all.
    #[command(after_help = "Examples:
  tenantry dead-letters purge DEAD_JOB --yes
  tenantry dead-letters purge --all --created-before 30d --yes")]
    Purge(Selection),
}

/// Which of the jobs that will not run by themselves.
#[derive(Debug, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    filter: JobFilter,
    /// Only those with this reason, such as `attempts_exhausted`.
    #[arg(long, value_name = "CODE", help_heading = "Which jobs")]
    reason_code: Option<String>,
    /// Those in quarantine, which may not run at all, in place of dead letters.
    #[arg(long, help_heading = "Which jobs")]
    quarantine: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Their ids.
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// All that the flags below allow.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    change: Change,
}

const COLUMNS: [Column; 6] = [
    Column("ID", "/id", As::Text),
    Column("TYPE", "/type", As::Text),
    Column("KB", "/kb_id", As::Text),
    Column("SINCE", "/since", As::Age),
    Column("CODE", "/error/code", As::Text),
    Column("REASON", "/error/detail", As::Text),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List { which, limit } => {
                session.output.list(&COLUMNS, &which.listed(session, limit).await?)
            }
            Self::Show { job } => {
                let path = session.tenant_path(&format!("dead-letters/{}", segment(&job))).await?;
                session.output.show(&session.api.get(&path).await?)
            }
            Self::Retry(selection) => selection.run(session, Fate::Retry).await,
            Self::Purge(selection) => selection.run(session, Fate::Purge).await,
        }
    }
}

impl Which {
    async fn listed(&self, session: &Session, limit: Option<usize>) -> Result<Vec<Value>, Failure> {
        let list = if self.quarantine { "quarantine" } else { "dead-letters" };
        let kb = session.given_kb.clone().unwrap_or_default();
        let path = session.tenant_path(list).await?;
        let found = session
            .api
            .all(&path, &[("kb_id", &kb), ("batch_id", self.filter.batch())], "jobs", limit)
            .await?;
        let is_reason =
            |job: &Value| self.reason_code.as_deref().is_none_or(|code| job["error"]["code"] == code);
        Ok(found.into_iter().filter(|job| self.filter.matches(job) && is_reason(job)).collect())
    }

    fn is_everything(&self, session: &Session) -> bool {
        self.filter.is_empty() && self.reason_code.is_none() && !self.quarantine && session.given_kb.is_none()
    }

    fn body(&self, session: &Session) -> Value {
        let mut body = self.filter.body(session.given_kb.as_deref());
        if let Some(code) = &self.reason_code {
            body["reason_code"] = json!(code);
        }
        if self.quarantine {
            body["states"] = json!(["quarantined"]);
        }
        body
    }
}

/// What becomes of the selected jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Retry,
    Purge,
}

impl Fate {
    fn question(self, jobs: &str, tenant: &str) -> String {
        match self {
            Self::Retry => format!("Start {jobs} of {tenant} again"),
            Self::Purge => format!("Throw away {jobs} of {tenant} for good"),
        }
    }
}

impl Selection {
    async fn run(self, session: &Session, fate: Fate) -> Result<(), Failure> {
        let tenant = session.tenant().await?;
        match (self.jobs.as_slice(), self.all, self.which.is_everything(session)) {
            ([_, ..], false, true) => self.named(session, &tenant, fate).await,
            ([], true, _) | ([], false, false) => self.matching(session, &tenant, fate).await,
            _ => Err(Failure::Usage(
                "say which jobs: their ids, or flags such as --reason-code, or --all".to_owned(),
            )),
        }
    }

    async fn named(&self, session: &Session, tenant: &str, fate: Fate) -> Result<(), Failure> {
        let number = count(self.jobs.len(), "job", "jobs");
        if fate == Fate::Purge {
            self.change.confirm(&fate.question(&number, tenant))?;
        }
        for job in &self.jobs {
            let path = tenant_path(tenant, &format!("dead-letters/{}", segment(job)));
            let (method, path) = match fate {
                Fate::Retry => (Method::POST, format!("{path}/retry")),
                Fate::Purge => (Method::DELETE, path),
            };
            self.change.send(session, method, &path, None).await?;
        }
        match fate {
            Fate::Retry => {
                session.output.done(&json!({ "started": self.jobs }), &format!("started {number} again"))
            }
            Fate::Purge => {
                session.output.done(&json!({ "purged": self.jobs }), &format!("threw away {number}"))
            }
        }
    }

    async fn matching(&self, session: &Session, tenant: &str, fate: Fate) -> Result<(), Failure> {
        let found = self.which.listed(session, None).await?.len();
        self.change.confirm(&fate.question(&count(found, "job", "jobs"), tenant))?;
        let body = self.which.body(session);
        let verb = if fate == Fate::Retry { "retry" } else { "purge" };
        let path = tenant_path(tenant, &format!("dead-letters/{verb}"));
        let done = self.change.send(session, Method::POST, &path, Some(&body)).await?;
        let sentence = match fate {
            Fate::Retry => format!(
                "started {} again; of {} another job has the unique key",
                done["started"], done["unique_key_taken"]
            ),
            Fate::Purge => format!("threw away {}", done["purged"]),
        };
        session.output.done(&done, &sentence)
    }
}
