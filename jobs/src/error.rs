//! The errors of a handler, and what each means for the job.

use std::time::Duration;

pub use fair_queue::describe::{plain_io, report, root, sentence};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an attempt failed, and so what happens next. The `?` in a handler decides by the type of the error.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A transient error: retry after the usual backoff.
    #[error("a passing fault")]
    Retry(#[source] Source),
    /// A transient error of the job itself with a known end: retry after that time. It counts as an attempt; a service
    /// that is busy is [`JobError::Wait`].
    #[error("a passing fault, to be tried again in {} s", after.as_secs())]
    RetryAfter {
        /// How long to wait.
        after: Duration,
        /// The error.
        #[source]
        source: Source,
    },
    /// A service outside is busy or away: a rate limit, an overloaded model, a refused connection. The job waits, no
    /// attempt is counted, no slot is held, and the tenant's other jobs go on. A job that is older than
    /// `TENANTRY_WAIT_MAX_S` becomes a dead letter with the code `waited_too_long`.
    #[error("waits for {what}")]
    Wait {
        /// What it waits for, as in "waits for the model".
        what: &'static str,
        /// How long the service asks to be left alone, if it says so.
        after: Option<Duration>,
        /// The error.
        #[source]
        source: Source,
    },
    /// A store that the job requires does not answer or is full: the tenant's jobs wait until it is back, and no
    /// attempt is counted until the job is older than `TENANTRY_WAIT_MAX_S`. After that it is treated as
    /// [`JobError::Retry`].
    #[error("a server that the job needs is not available")]
    Unavailable(#[source] Source),
    /// Trying again cannot help: the job is discarded with this reason.
    #[error("{reason}")]
    Fail {
        /// Stable code, `snake_case`, for programs.
        code: &'static str,
        /// What happened and what to do, for people. Never document text or secrets.
        reason: String,
    },
    /// What a user gave cannot be used, such as a document without text: the job is discarded with this reason, which
    /// is none of the operator's business.
    #[error("{reason}")]
    Unusable {
        /// Stable code, `snake_case`, for programs.
        code: &'static str,
        /// The cause and how to fix it, shown to the user. Never document text or secrets.
        reason: String,
    },
    /// The work was cut short by a shutdown or a lost lease; it was not the handler's failure.
    #[error("interrupted")]
    Interrupted,
}

impl JobError {
    /// A transient error.
    pub fn retry(source: impl Into<Source>) -> Self {
        Self::Retry(source.into())
    }

    /// A transient error that ends in `after`.
    pub fn retry_after(after: Duration, source: impl Into<Source>) -> Self {
        Self::RetryAfter { after, source: source.into() }
    }

    /// A service outside, `what`, is busy or away; `after` is how long it asks to be left alone.
    pub fn wait(what: &'static str, after: Option<Duration>, source: impl Into<Source>) -> Self {
        Self::Wait { what, after, source: source.into() }
    }

    /// A server that the job requires does not answer or is full.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// A permanent error: the job is not retried.
    pub fn fail(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Fail { code, reason: reason.into() }
    }

    /// The user's input cannot be used: a permanent error that the user can fix.
    pub fn unusable(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Unusable { code, reason: reason.into() }
    }

    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Retry(_) => "transient",
            Self::RetryAfter { .. } => "rate_limited",
            Self::Wait { .. } => "waits",
            Self::Unavailable(_) => "unavailable",
            Self::Fail { code, .. } | Self::Unusable { code, .. } => code,
            Self::Interrupted => "interrupted",
        }
    }
}

/// An error of unknown kind counts as transient. A boxed [`JobError`] keeps its kind, so that tower's own layers,
/// which box the errors they pass on, do not change a verdict.
impl From<Source> for JobError {
    fn from(source: Source) -> Self {
        source.downcast::<Self>().map_or_else(Self::Retry, |error| *error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boxed_verdict_stays_what_it_is() {
        let boxed: Source = Box::new(JobError::fail("no_use", "give up"));
        assert_eq!(JobError::from(boxed).code(), "no_use");
        assert_eq!(JobError::from(Source::from("who knows")).code(), "transient");
    }
}
