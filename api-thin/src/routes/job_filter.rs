use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use jobs::queue::{JobFilter, JobState, SkillStatus};
use jobs::tenant::KbId;
use jobs::{BatchId, JobKind, Lane, Priority};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::{Code, Problem};
use crate::request::{Caller, RequiredPermission};
use crate::state::ApiState;

/// States in which a job may still run by itself.
pub(super) const OPEN: &[JobState] =
    &[JobState::Scheduled, JobState::Available, JobState::Active, JobState::Retryable, JobState::Parked];

/// Which jobs a request selects. A job matches a list if it matches one of its members; an absent list matches all.
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
    #[schemars(with = "Vec<super::enumerations::JobState>")]
    states: Vec<String>,
    /// `high`, `normal`, `low` or `background`.
    #[schemars(with = "Vec<super::enumerations::Priority>")]
    priorities: Vec<String>,
    /// `interactive` or `bulk`.
    #[schemars(with = "Option<super::enumerations::Lane>")]
    lane: Option<String>,
    created_before: Option<DateTime<Utc>>,
    created_after: Option<DateTime<Utc>>,
    /// The `code` of the reason why it will not run.
    reason_code: Option<String>,
    /// Only those of this knowledge base.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// Only those that work on documents of this batch.
    #[schemars(with = "Option<BatchId>")]
    batch_id: Option<String>,
}

impl Filter {
    /// The filter as the queue takes it, its states being among `known`. What credentials of one knowledge base do
    /// not reach is not added here: see [`reach`].
    pub(super) async fn read<N: RequiredPermission>(
        self,
        app: &ApiState,
        who: &Caller<N>,
        known: &[JobState],
    ) -> Result<JobFilter, Problem> {
        let Self { kinds, queues, created_before, created_after, reason_code, .. } = self;
        let refuse = |field: &str, problem: String| Problem::new(Code::InvalidField, problem).field(field);
        let states = states_of(self.states.iter().map(String::as_str), known)
            .map_err(|problem| refuse("states", problem))?;
        let priorities = priorities_of(self.priorities.iter().map(String::as_str))
            .map_err(|problem| refuse("priorities", problem))?;
        let lane = lane_of(self.lane.as_deref()).map_err(|problem| refuse("lane", problem))?;
        check_names(app, NameOf::Type, &kinds, |problem| refuse("types", problem)).await?;
        check_names(app, NameOf::Queue, &queues, |problem| refuse("queues", problem)).await?;
        let kb = asked_kb(app, who, self.kb_id.as_deref(), |problem| refuse("kb_id", problem)).await?;
        let batch = asked_batch(who, self.batch_id.as_deref(), |problem| refuse("batch_id", problem)).await?;
        let filter = JobFilter {
            kinds,
            queues,
            states,
            priorities,
            lane,
            created_before,
            created_after,
            ..JobFilter::default()
        };
        Ok(JobFilter { reason_code, kb, batch, ..filter })
    }
}

/// Refuses names that nothing has: a filter that can match nothing is a mistake.
pub(super) async fn check_names(
    app: &ApiState,
    what: NameOf,
    names: &[String],
    refuse: impl FnOnce(String) -> Problem,
) -> Result<(), Problem> {
    let unknown = what.unknown(app, names.iter().map(String::as_str)).await?;
    unknown.map_or(Ok(()), |problem| Err(refuse(problem)))
}

/// The knowledge base that a filter names. One outside the reach of the credentials is answered like one that does not
/// exist.
pub(super) async fn asked_kb<N: RequiredPermission>(
    app: &ApiState,
    who: &Caller<N>,
    named: Option<&str>,
    refuse: impl FnOnce(String) -> Problem,
) -> Result<Option<KbId>, Problem> {
    let Some(named) = named else { return Ok(None) };
    if let Ok(kb) = named.parse::<KbId>() {
        let found = app.directory().kb(who.tenant(), &kb).await?;
        if found.is_some() && who.reaches(Some(&kb)) {
            return Ok(Some(kb));
        }
    }
    Err(refuse("there is no such knowledge base, or these credentials do not reach it".to_owned()))
}

/// The batch that a filter names. One outside the reach of the credentials is answered like one that does not exist.
pub(super) async fn asked_batch<N: RequiredPermission>(
    who: &Caller<N>,
    named: Option<&str>,
    refuse: impl FnOnce(String) -> Problem,
) -> Result<Option<BatchId>, Problem> {
    let Some(named) = named else { return Ok(None) };
    if let Ok(batch) = named.parse::<BatchId>()
        && who.stores.catalog().has_batch(batch, who.only_kb.as_ref()).await?
    {
        return Ok(Some(batch));
    }
    Err(refuse("there is no such batch, or these credentials do not reach it".to_owned()))
}

/// Adds to a filter what the credentials reach: of one knowledge base only its own jobs.
pub(super) fn reach<N: RequiredPermission>(filter: JobFilter, who: &Caller<N>) -> JobFilter {
    JobFilter { kb: who.only_kb.clone().or(filter.kb), ..filter }
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

/// Reads names of priorities.
pub(super) fn priorities_of<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Priority>, String> {
    let read = |name| {
        let all = Priority::ALL.map(Priority::as_str).join(", ");
        Priority::from_name(name).ok_or_else(|| format!("expected one of {all}"))
    };
    names.map(read).collect()
}

/// Reads the name of a lane. Nothing is none.
pub(super) fn lane_of(name: Option<&str>) -> Result<Option<Lane>, String> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let all = Lane::ALL.map(Lane::as_str).join(", ");
    Lane::from_name(name).map(Some).ok_or_else(|| format!("expected one of {all}"))
}

/// The kind of a name in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameOf {
    /// A job type.
    Type,
    /// An Open Job Spec queue.
    Queue,
}

impl NameOf {
    fn of_product(self, kind: JobKind) -> &'static str {
        match self {
            Self::Type => kind.as_str(),
            Self::Queue => kind.policy().queue,
        }
    }

    fn of_skill(self, skill: SkillStatus) -> String {
        match self {
            Self::Type => {
                skill.skill.rsplit_once('@').map_or(skill.skill.clone(), |(kind, _)| kind.to_owned())
            }
            Self::Queue => skill.queue,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Type => "job type",
            Self::Queue => "queue",
        }
    }

    /// The problem with `names`; `None` when all of them are known.
    ///
    /// # Errors
    /// When the queue does not answer. It is read only for names that are not the product's.
    pub(crate) async fn unknown<'a>(
        self,
        app: &ApiState,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<String>, Problem> {
        let mut known: BTreeSet<String> =
            JobKind::ALL.iter().map(|kind| self.of_product(*kind).to_owned()).collect();
        let strange: Vec<&str> = names.into_iter().filter(|name| !known.contains(*name)).collect();
        if strange.is_empty() {
            return Ok(None);
        }
        known.extend(app.queue().skills().await?.into_iter().map(|skill| self.of_skill(skill)));
        if strange.iter().all(|name| known.contains(*name)) {
            return Ok(None);
        }
        let listed: Vec<_> = known.into_iter().filter(|name| !name.is_empty()).collect();
        Ok(Some(format!("there is no such {}: expected one of {}", self.noun(), listed.join(", "))))
    }
}
