//! The jobs that a job enqueued.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::JobFilter;
use schemars::JsonSchema;
use serde::Serialize;

use super::job_filter::reach;
use super::jobs::{Shown, check_reach};
use crate::problem::Problem;
use crate::request::{AnyMember, Caller};
use crate::state::ApiState;

/// Most jobs of one answer.
const SHOWN: u32 = 200;

/// `GET …/jobs/{job}/children`
pub(super) async fn children(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
    Path(shown): Path<Shown>,
) -> Result<Json<Children>, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    let catalog = who.stores.catalog();
    let is_known = app.queue().lookup(who.tenant(), id).await?.is_some()
        || catalog.history(id).await?.is_some()
        || catalog.outbox_job(id).await?.is_some();
    if !is_known {
        return Err(Problem::not_found());
    }
    let most = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let filter = reach(JobFilter { parent: Some(id), ..JobFilter::default() }, &who);
    let open = app.queue().list(who.tenant(), &filter, None, most).await?;
    let ended = catalog.history_children(id, SHOWN).await?;
    let mut complete = open.next.is_none() && ended.len() < most;
    let mut jobs: BTreeMap<JobId, Child> = BTreeMap::new();
    for record in ended.into_iter().filter(|record| who.reaches(record.kb.as_ref())) {
        jobs.insert(
            record.id,
            Child {
                id: record.id,
                kind: record.kind,
                state: record.state,
                created_at: record.created_at,
                finished_at: Some(record.finished_at),
            },
        );
    }
    for job in open.jobs {
        // The queue knows better while it has a job, also of one that was started again.
        jobs.insert(
            job.id,
            Child {
                id: job.id,
                kind: job.kind,
                state: job.state.to_string(),
                created_at: job.created_at,
                finished_at: None,
            },
        );
    }
    let mut jobs: Vec<_> = jobs.into_values().collect();
    jobs.sort_by_key(|child| (child.created_at, child.id));
    complete &= jobs.len() <= most;
    jobs.truncate(most);
    Ok(Json(Children { jobs, complete }))
}

/// A job that another one enqueued.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ChildJob")]
struct Child {
    id: JobId,
    #[serde(rename = "type")]
    kind: String,
    #[schemars(with = "super::enumerations::JobState")]
    state: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// The jobs that a job enqueued.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ChildJobs")]
pub(super) struct Children {
    /// First ones first.
    jobs: Vec<Child>,
    /// Whether these are all that are known.
    complete: bool,
}
