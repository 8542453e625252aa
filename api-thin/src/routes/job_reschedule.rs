//! Another time for a job that waits for one.

use axum::extract::{Path, State};
use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;
use jobs::queue::Rescheduled;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::jobs::{Shown, check_reach};
use crate::answer::{Answer, job_location};
use crate::problem::{Code, Problem};
use crate::request::{Caller, Json, SteerJobs};
use crate::state::ApiState;

/// How far ahead a job may be put off.
const FURTHEST: TimeDelta = TimeDelta::days(366);

/// The new time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reschedule")]
pub(super) struct Wanted {
    /// When the job may start. A time that has passed is now.
    scheduled_at: DateTime<Utc>,
}

/// The result of rescheduling a job.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RescheduledJob {
    job_id: JobId,
    /// URL of the job.
    location: String,
    outcome: Outcome,
}

/// The effect on a job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RescheduleOutcome")]
enum Outcome {
    /// It waits until then.
    Rescheduled,
    /// It waits for no time: for a worker or its tenant, or it runs, or it is a dead letter or in quarantine.
    NotScheduled,
    /// It had ended already.
    Ended,
}

/// `POST …/jobs/{job}/reschedule`: gives a scheduled job, or one that waits for its next attempt, another time.
pub(super) async fn one(
    State(app): State<ApiState>,
    who: Caller<SteerJobs>,
    Path(shown): Path<Shown>,
    Json(Wanted { scheduled_at }): Json<Wanted>,
) -> Result<Answer<RescheduledJob>, Problem> {
    let id = shown.id()?;
    if scheduled_at > app.clock().now() + FURTHEST {
        let detail = "scheduled_at is more than 366 days ahead; give an earlier time";
        return Err(Problem::new(Code::InvalidField, detail).field("scheduled_at"));
    }
    check_reach(&app, &who, id).await?;
    let outcome = match app.queue().reschedule(who.tenant(), id, scheduled_at).await? {
        Rescheduled::Moved => Outcome::Rescheduled,
        Rescheduled::NotScheduled => Outcome::NotScheduled,
        Rescheduled::NotFound => missing(&app, &who, id).await?,
    };
    Ok(Answer::new(RescheduledJob { job_id: id, location: job_location(who.tenant(), id), outcome }))
}

/// What a job is that the queue does not have, or has no longer.
async fn missing(app: &ApiState, who: &Caller<SteerJobs>, id: JobId) -> Result<Outcome, Problem> {
    let catalog = who.stores.catalog();
    let is_remembered = app.queue().lookup(who.tenant(), id).await?.is_some();
    if is_remembered || catalog.history(id).await?.is_some() {
        return Ok(Outcome::Ended);
    }
    match catalog.outbox_job(id).await? {
        Some(_) => Ok(Outcome::NotScheduled),
        None => Err(Problem::not_found()),
    }
}
