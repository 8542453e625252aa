//! Why a job does not run yet.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::answers::{JobState, JobStatus};
use crate::error::QueueError;
use crate::finish::WAITS;
use crate::id::JobId;
use crate::id::PartitionId;
use crate::job::Lane;
use crate::queue::{Queue, moment};
use crate::script::Operation;

/// Where a job is, and everything that keeps it from running, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The state of the job.
    pub status: JobStatus,
    /// The reasons that it waits. Empty for a job that runs or has ended.
    pub waits_for: Vec<WaitsFor>,
}

impl Explanation {
    /// The same without numbers of other jobs, for a caller that may not know of them.
    #[must_use]
    pub fn without_counts(self) -> Self {
        Self { waits_for: self.waits_for.into_iter().map(WaitsFor::without_counts).collect(), ..self }
    }
}

/// One reason that a job waits. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its due time, set by the caller that enqueued it.
    Time(DateTime<Utc>),
    /// Its next attempt.
    Retry(DateTime<Utc>),
    /// A service that it needs, which was busy or away when it ran.
    Service {
        /// When it tries again.
        at: DateTime<Utc>,
        /// What it waits for and why, for people.
        why: String,
    },
    /// Its partition was not allowed to run when it came up; it comes up again then.
    Parked(DateTime<Utc>),
    /// Its partition is suspended.
    PartitionSuspended,
    /// Its partition is paused.
    PartitionPaused,
    /// Its queue is paused for all partitions.
    QueuePaused(String),
    /// Its queue is paused for its partition.
    PartitionQueuePaused(String),
    /// No live worker runs its type and version.
    Worker {
        /// Type and version.
        skill: String,
    },
    /// Its partition has as many jobs running as it may.
    Cap {
        /// Number of running jobs of the partition.
        running: u64,
        /// Maximum number of running jobs.
        cap: u64,
    },
    /// Its partition has as many jobs of its type running as it may.
    TypeCap {
        /// The type.
        kind: String,
        /// Number of running jobs of this type.
        running: u64,
        /// Maximum number of running jobs of this type.
        cap: u64,
    },
    /// Its partition's rate.
    Rate(DateTime<Utc>),
    /// Other jobs of its partition that go first. 10,000 may mean more.
    Jobs(u64),
    /// The turn of its branch of the partition.
    Turn {
        /// Number of branches that take turns.
        branches: u64,
        /// Number of jobs of its own branch before it. 10,000 may mean more.
        ahead: u64,
    },
    /// Its lane's turn: interactive jobs wait as well.
    Bulk,
    /// Other jobs of its partition, without how many: the code of what they keep it from.
    Uncounted(&'static str),
    /// The number of partitions that are served first.
    Partitions(u64),
    /// A free worker: it is next.
    FreeWorker,
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(at) => write!(f, "scheduled for {}", at.to_rfc3339()),
            Self::Retry(at) => write!(f, "its next attempt is due at {}", at.to_rfc3339()),
            Self::Service { at, why } => write!(f, "waits for {why}; tries again at {}", at.to_rfc3339()),
            Self::Parked(at) => write!(f, "parked, comes up again at {}", at.to_rfc3339()),
            Self::PartitionSuspended => f.write_str("the tenant is suspended"),
            Self::PartitionPaused => f.write_str("the tenant is paused"),
            Self::QueuePaused(queue) => write!(f, "the queue {queue} is paused"),
            Self::PartitionQueuePaused(queue) => write!(f, "the tenant's queue {queue} is paused"),
            Self::Worker { skill } => write!(f, "no live worker declares {skill}"),
            Self::Cap { running, cap } => write!(f, "the tenant runs {running} of {cap} jobs"),
            Self::TypeCap { kind, running, cap } => {
                write!(f, "the tenant runs {running} of {cap} jobs of type {kind}")
            }
            Self::Rate(until) => write!(f, "the tenant's rate allows no start before {}", until.to_rfc3339()),
            Self::Jobs(count) => write!(f, "behind {count} jobs of the same tenant"),
            Self::Turn { branches, ahead } => write!(
                f,
                "its knowledge base's turn: {branches} knowledge bases take turns, {ahead} jobs of its own are \
                 before it"
            ),
            Self::Bulk => {
                let turns = Lane::BULK_TURN;
                write!(f, "bulk work gets one turn in {turns} while interactive work of the tenant waits")
            }
            Self::Uncounted("turn") => f.write_str("its knowledge base's turn: several take turns"),
            Self::Uncounted("cap") => f.write_str("the tenant runs as many jobs as it may"),
            Self::Uncounted("type_cap") => f.write_str("the tenant runs as many jobs of its type as it may"),
            Self::Uncounted(_) => f.write_str("behind earlier jobs of the same tenant"),
            Self::Partitions(count) => write!(f, "behind {count} other tenants"),
            Self::FreeWorker => f.write_str("next, as soon as a worker is free"),
        }
    }
}

impl WaitsFor {
    fn without_counts(self) -> Self {
        match self {
            Self::Cap { .. } | Self::TypeCap { .. } | Self::Jobs(_) | Self::Turn { .. } => {
                Self::Uncounted(self.code())
            }
            other => other,
        }
    }

    /// Stable code, `snake_case`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Time(_) => "scheduled",
            Self::Retry(_) => "retry",
            Self::Service { .. } => "service",
            Self::Parked(_) => "parked",
            Self::PartitionSuspended => "tenant_suspended",
            Self::PartitionPaused => "tenant_paused",
            Self::QueuePaused(_) => "queue_paused",
            Self::PartitionQueuePaused(_) => "tenant_queue_paused",
            Self::Worker { .. } => "no_worker",
            Self::Cap { .. } => "cap",
            Self::TypeCap { .. } => "type_cap",
            Self::Rate(_) => "rate",
            Self::Jobs(_) => "jobs_ahead",
            Self::Turn { .. } => "turn",
            Self::Bulk => "bulk",
            Self::Uncounted(code) => code,
            Self::Partitions(_) => "tenants_ahead",
            Self::FreeWorker => "free_worker",
        }
    }
}

impl Queue {
    /// Why a job does not run yet. `None` when the partition has no such job.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn explain(
        &self,
        partition: &PartitionId,
        id: JobId,
    ) -> Result<Option<Explanation>, QueueError> {
        let Some(status) = self.lookup(partition, id).await? else { return Ok(None) };
        let arguments = vec![partition.to_string(), id.to_string()];
        let facts: Vec<String> = self.call_for(partition, Operation::Explain, arguments).await?;
        let facts = facts.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        let waits_for = waits_for(&status, &Facts(facts));
        Ok(Some(Explanation { status, waits_for }))
    }
}

struct Facts<'a>(BTreeMap<&'a str, &'a str>);

impl Facts<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.parse().ok()
    }

    fn moment(&self, name: &str) -> Option<DateTime<Utc>> {
        moment(self.0.get(name)?).ok()
    }
}

fn waits_for(status: &JobStatus, facts: &Facts<'_>) -> Vec<WaitsFor> {
    use JobState::{Active, Available, Parked, Retryable, Scheduled};
    if !matches!(status.state, Available | Scheduled | Retryable | Parked) || facts.0.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(status.at.and_then(|at| match status.state {
        Scheduled => Some(WaitsFor::Time(at)),
        Retryable => Some(match status.reason.as_ref().filter(|reason| reason.code == WAITS) {
            Some(reason) => WaitsFor::Service { at, why: reason.text.clone() },
            None => WaitsFor::Retry(at),
        }),
        Parked => Some(WaitsFor::Parked(at)),
        Active
        | Available
        | JobState::Completed
        | JobState::Cancelled
        | JobState::Discarded
        | JobState::Quarantined => None,
    }));
    found.extend(facts.number("tenant_suspended").map(|_| WaitsFor::PartitionSuspended));
    found.extend(facts.number("tenant_paused").map(|_| WaitsFor::PartitionPaused));
    found.extend(facts.text("queue_paused").map(WaitsFor::QueuePaused));
    found.extend(facts.text("tenant_queue_paused").map(WaitsFor::PartitionQueuePaused));
    if !status.skill_declared {
        found.push(WaitsFor::Worker { skill: status.skill.clone() });
    }
    found.extend(caps(facts));
    if !found.iter().any(|reason| matches!(reason, WaitsFor::Parked(_))) {
        found.extend(facts.moment("held_until").map(WaitsFor::Parked));
    }
    found.extend(facts.moment("rate_until").map(WaitsFor::Rate));
    if let (Some(branches), Some(ahead)) = (facts.number("branches"), facts.number("branch_ahead")) {
        found.push(WaitsFor::Turn { branches, ahead });
    }
    found.extend(facts.number("bulk").map(|_| WaitsFor::Bulk));
    found.extend(facts.number("jobs_ahead").filter(|&count| count > 0).map(WaitsFor::Jobs));
    found.extend(facts.number("tenants_ahead").filter(|&count| count > 0).map(WaitsFor::Partitions));
    if found.is_empty() {
        found.push(WaitsFor::FreeWorker);
    }
    found
}

fn caps(facts: &Facts<'_>) -> Vec<WaitsFor> {
    let mut found = Vec::new();
    if let (Some(running), Some(cap)) = (facts.number("in_flight"), facts.number("cap")) {
        found.push(WaitsFor::Cap { running, cap });
    }
    if let (Some(running), Some(cap)) = (facts.number("type_in_flight"), facts.number("type_cap"))
        && running >= cap
    {
        found.push(WaitsFor::TypeCap { kind: facts.text("type").unwrap_or_default(), running, cap });
    }
    found
}
