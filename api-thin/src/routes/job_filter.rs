use chrono::{DateTime, Utc};
use jobs::queue::{JobFilter, JobState};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::{Code, Problem};

/// States in which a job may still run by itself.
pub(super) const OPEN: &[JobState] =
    &[JobState::Scheduled, JobState::Available, JobState::Active, JobState::Retryable, JobState::Parked];

/// Which jobs a request means. Each list is met by any of its members; what is left out is met by all.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "JobFilter")]
pub(super) struct Filter {
    /// Job types, such as `document.ingest`.
    #[serde(rename = "types")]
    kinds: Vec<String>,
    /// Names of queues.
    queues: Vec<String>,
    /// In the words of the Open Job Spec, such as `available` or `discarded`.
    states: Vec<String>,
    created_before: Option<DateTime<Utc>>,
    created_after: Option<DateTime<Utc>>,
    /// The `code` of the reason why it will not run.
    reason_code: Option<String>,
}

impl Filter {
    /// The filter as the queue takes it, its states being among `known`.
    pub(super) fn read(self, known: &[JobState]) -> Result<JobFilter, Problem> {
        let Self { kinds, queues, states, created_before, created_after, reason_code } = self;
        let states = states_of(states.iter().map(String::as_str), known)
            .map_err(|problem| Problem::new(Code::InvalidField, problem).field("states"))?;
        Ok(JobFilter { kinds, queues, states, created_before, created_after, reason_code })
    }
}

/// Reads names of states, all of which must be among `known`.
pub(super) fn states_of<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &[JobState],
) -> Result<Vec<JobState>, String> {
    let state = |name: &str| JobState::from_name(name).filter(|state| known.contains(state));
    names
        .map(|name| {
            let all: Vec<_> = known.iter().map(|state| state.as_str()).collect();
            state(name).ok_or_else(|| format!("expected one of {}", all.join(", ")))
        })
        .collect()
}
