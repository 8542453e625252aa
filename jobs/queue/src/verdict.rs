//! How a job ends, and which children it enqueues.

use std::time::Duration;

use crate::error::QueueError;
use crate::id::GroupId;
use crate::job::NewJob;

/// The end of a job that ran, or that was refused before it could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Success. The job is removed from the queue.
    Completed,
    /// The handler failed; try again.
    Retry {
        /// How long to wait first.
        after: Duration,
        /// The error, for people.
        error: String,
    },
    /// The handler failed permanently: the job becomes a dead letter.
    Discarded {
        /// Stable code, `snake_case`.
        code: &'static str,
        /// The reason, for people.
        reason: String,
    },
    /// The job must never run: forged, damaged, or it killed its workers.
    Quarantined {
        /// Stable code, `snake_case`.
        code: &'static str,
        /// Why, for people.
        reason: String,
    },
    /// The job's partition may not run now. The job comes back by itself, no attempt is counted.
    Parked {
        /// Why, for people.
        reason: String,
    },
    /// The job is not needed any more. It is removed from the queue as cancelled.
    Dropped {
        /// Why, for people.
        reason: String,
    },
    /// Returned to the queue at a shutdown: it is the next to run, and no attempt is counted.
    Released,
}

impl Verdict {
    /// Whether the job will not run again by itself, so that its group no longer waits for it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Completed | Self::Discarded { .. } | Self::Quarantined { .. } | Self::Dropped { .. } => {
                true
            }
            Self::Retry { .. } | Self::Parked { .. } | Self::Released => false,
        }
    }
}

/// A group that a job opens as it finishes: when every child that carries its id has reached a final state,
/// the continuation is enqueued, exactly once.
#[derive(Debug, Clone)]
pub struct OpenGroup {
    /// The id that the children carry.
    pub id: GroupId,
    /// The job that runs when they are done.
    pub continuation: NewJob,
    /// How a member's permanent failure affects the others.
    pub on_failure: OnFailure,
}

/// What happens to a group when a member is discarded, quarantined or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The others go on, and the continuation runs when all have ended.
    #[default]
    Continue,
    /// The others are cancelled, and so is the continuation.
    Cancel,
}

/// What a handler returns: the verdict, and the jobs to enqueue in the same step. If the finish comes too
/// late, because the claim was lost, nothing of it happens.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The end of the job.
    pub verdict: Verdict,
    /// Jobs of the same partition to enqueue.
    pub children: Vec<NewJob>,
    /// The group whose members are those of `children` that carry its id.
    pub group: Option<OpenGroup>,
}

impl Finish {
    /// The most children that one job may leave behind, because a script has to end soon.
    pub const MAX_CHILDREN: usize = 500;

    /// The end of a job that enqueues no children.
    #[must_use]
    pub fn of(verdict: Verdict) -> Self {
        Self { verdict, children: Vec::new(), group: None }
    }

    /// Whether a job of `partition` may end like this: not with too many children, nor with one of another
    /// partition.
    pub(super) fn check(&self, partition: &str) -> Result<(), QueueError> {
        if self.children.len() > Self::MAX_CHILDREN {
            return Err(QueueError::TooManyChildren { count: self.children.len() });
        }
        let continuation = self.group.iter().map(|group| &group.continuation);
        let foreign = |child: &NewJob| child.partition.as_str() != partition;
        if self.children.iter().chain(continuation).any(foreign) {
            Err(QueueError::ForeignChild)
        } else {
            Ok(())
        }
    }
}

impl From<Verdict> for Finish {
    fn from(verdict: Verdict) -> Self {
        Self::of(verdict)
    }
}
