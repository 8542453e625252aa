use std::time::Duration;

use jobs::JobId;
use jobs::queue::Verdict;
use jobs::tenant::TenantId;

/// One attempt at a job and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its type; empty when its envelope cannot be read.
    pub kind: String,
    /// Which attempt it was, 1 for the first.
    pub attempt: u32,
    /// What became of it.
    pub verdict: Verdict,
    /// Jobs that were enqueued when it ended, without the continuation of a group.
    pub children: Vec<JobId>,
}

/// What a bench did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Every attempt, in order.
    pub runs: Vec<Run>,
    /// How long until time alone makes another job available. `None` when nothing waits for the clock.
    pub next_in: Option<Duration>,
}

impl Report {
    /// The jobs that are done.
    #[must_use]
    pub fn completed(&self) -> Vec<JobId> {
        self.of(|verdict| matches!(verdict, Verdict::Completed).then_some(()))
            .into_iter()
            .map(|(id, ())| id)
            .collect()
    }

    /// The jobs that will be tried again, and why. One that failed twice is in it twice.
    #[must_use]
    pub fn retried(&self) -> Vec<(JobId, String)> {
        self.of(|verdict| match verdict {
            Verdict::Retry { error, .. } => Some(error.clone()),
            _ => None,
        })
    }

    /// The jobs that were given up, each with a code and the reason.
    #[must_use]
    pub fn discarded(&self) -> Vec<(JobId, &'static str, String)> {
        let given_up = self.of(|verdict| match verdict {
            Verdict::Discarded { code, reason } => Some((*code, reason.clone())),
            _ => None,
        });
        given_up.into_iter().map(|(id, (code, reason))| (id, code, reason)).collect()
    }

    /// The jobs that were refused before any layer or handler saw them, each with the reason: quarantined,
    /// parked or dropped.
    #[must_use]
    pub fn refused(&self) -> Vec<(JobId, String)> {
        self.of(|verdict| match verdict {
            Verdict::Quarantined { code, reason } => Some(format!("{code}: {reason}")),
            Verdict::Parked { reason } | Verdict::Dropped { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    fn of<T>(&self, pick: impl Fn(&Verdict) -> Option<T>) -> Vec<(JobId, T)> {
        self.runs.iter().filter_map(|run| Some((run.id, pick(&run.verdict)?))).collect()
    }
}
