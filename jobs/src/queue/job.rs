//! Where jobs of one type and payload version wait.

use std::fmt;

use crate::job::{Job, JobPolicy};

/// The jobs of one type and payload version, such as `document.ingest@1`. A worker fetches only from the
/// lanes it declares, so a job that it does not know waits for one that does, and stands in nobody's way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    name: String,
    queue: String,
}

impl Lane {
    /// The lane of `J`.
    #[must_use]
    pub fn of<J: Job>() -> Self {
        Self::from(&JobPolicy::of::<J>())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The Open Job Spec queue that its type belongs to.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }
}

impl From<&JobPolicy> for Lane {
    fn from(policy: &JobPolicy) -> Self {
        let name = crate::envelope::lane(policy.kind, policy.version);
        Self { name, queue: policy.queue.to_owned() }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
