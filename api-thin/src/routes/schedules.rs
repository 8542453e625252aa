//! Schedules of a knowledge base: list, show, make or replace, pause, resume, take over, run now, remove.

use std::time::Duration;

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, Utc};
use jobs::cron::{InvalidCron, next_fire};
use jobs::tenant::Actor;
use jobs::types::ReindexKb;
use jobs::{Job as _, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{NewSchedule, Schedule, Skipped};

use super::kbs::{KbJob, accept_reindex};
use super::parameters::{Paging, invalid_field};
use crate::accept::{Fingerprint, IdempotencyKey, Names, Submission, retries_exhausted};
use crate::answer::Answer;
use crate::problem::{Code, Problem};
use crate::request::{Json, KbCaller, ManageJobs, Query, ReadDocuments, RequiredPermission};
use crate::state::ApiState;

/// How many firings are looked at to see whether a schedule fires too often.
const LOOKAHEAD: usize = 48;

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(regex(pattern = "^[a-z0-9-]{1,63}$"))]
    schedule: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSchedule")]
pub(super) struct Wanted {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    cron: String,
    /// An IANA time zone, such as `Europe/Berlin`.
    time_zone: String,
    /// `kb.reindex`.
    #[serde(rename = "type")]
    kind: String,
}

/// `GET …/schedules`
pub(super) async fn list(
    State(app): State<ApiState>,
    who: KbCaller<ReadDocuments>,
    Query(asked): Query<Paging>,
) -> Result<JsonAnswer<ScheduleList>, Problem> {
    let found = who.stores.catalog().schedules(&who.kb.id).await?;
    let (found, next) = asked.cut(found, |schedule| schedule.name.clone())?;
    let mut schedules = Vec::with_capacity(found.len());
    for schedule in found {
        schedules.push(shown(&app, &who, schedule).await?);
    }
    Ok(JsonAnswer(ScheduleList { schedules, next }))
}

/// `GET …/schedules/{schedule}`
pub(super) async fn show(
    State(app): State<ApiState>,
    who: KbCaller<ReadDocuments>,
    Path(named): Path<Named>,
) -> Result<JsonAnswer<ScheduleView>, Problem> {
    let schedule = known(&who, &named).await?;
    shown(&app, &who, schedule).await.map(JsonAnswer)
}

/// A schedule with what keeps it from firing: its author's rights as they are now.
async fn shown<P: RequiredPermission>(
    app: &ApiState,
    who: &KbCaller<P>,
    schedule: Schedule,
) -> Result<ScheduleView, Problem> {
    let actor = Actor::Schedule(schedule.name.as_str().into());
    let role = who.context.role();
    let permissions = app.directory().permissions(who.tenant(), Some(&who.kb.id), &actor, role).await;
    let permissions = permissions.map_err(|error| Problem::unavailable(&error))?;
    let blocked = (!permissions.contains(ReindexKb::PERMISSION)).then(|| Blocked {
        code: "actor_forbidden",
        detail: format!(
            "{} no longer has the permission {}: take the schedule over, or let an administrator do it",
            schedule.created_by,
            ReindexKb::PERMISSION
        ),
    });
    Ok(ScheduleView { blocked, ..schedule.into() })
}

/// The schedule that a path names.
async fn known<P: RequiredPermission>(who: &KbCaller<P>, named: &Named) -> Result<Schedule, Problem> {
    check_name(&named.schedule).map_err(|_| Problem::not_found())?;
    who.stores.catalog().schedule(&who.kb.id, &named.schedule).await?.ok_or_else(Problem::not_found)
}

/// `PUT …/schedules/{schedule}`: make or replace a schedule.
pub(super) async fn put(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    Path(named): Path<Named>,
    Json(wanted): Json<Wanted>,
) -> Result<JsonAnswer<ScheduleView>, Problem> {
    let now = app.clock().now();
    check_name(&named.schedule)?;
    let next_fire_at = first_fire(&wanted, now, app.request_limits().schedule_interval)?;
    let catalog = who.stores.catalog();
    let template =
        who.stamp_for_schedule(&app, &named.schedule, JobId::generate(now), &ReindexKb::default())?;
    let schedule = NewSchedule {
        name: named.schedule.clone(),
        kb_id: who.kb.id.clone(),
        cron: wanted.cron,
        time_zone: wanted.time_zone,
        next_fire_at,
        template,
        created_by: who.context.actor().to_string(),
    };
    let limits = who.limits(&app).await?;
    if let Some(over) = catalog.schedule_put(&schedule, &limits).await? {
        return Err(Problem::over_quota(&over, now));
    }
    app.directory().invalidate(who.tenant()).await;
    let schedule = known(&who, &named).await?;
    shown(&app, &who, schedule).await.map(JsonAnswer)
}

/// `POST …/schedules/{schedule}/pause`: it does not fire until it is resumed.
pub(super) async fn pause(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    Path(named): Path<Named>,
) -> Result<JsonAnswer<ScheduleView>, Problem> {
    let schedule = known(&who, &named).await?;
    if !who.stores.catalog().schedule_pause(&who.kb.id, &schedule.name).await? {
        return Err(Problem::not_found());
    }
    shown(&app, &who, Schedule { paused: true, ..schedule }).await.map(JsonAnswer)
}

/// How often others may change the same schedule in between before we give up.
const TRIES: u32 = 8;

/// `POST …/schedules/{schedule}/resume`: it fires again, at its next time after now. What it missed is not made up for.
pub(super) async fn resume(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    Path(named): Path<Named>,
) -> Result<JsonAnswer<ScheduleView>, Problem> {
    for _ in 0..TRIES {
        let seen = known(&who, &named).await?;
        if !seen.paused {
            return shown(&app, &who, seen).await.map(JsonAnswer);
        }
        let next = next_fire(&seen.cron, &seen.time_zone, app.clock().now());
        let next_fire_at = next.map_err(|error| refusal(&error))?;
        if who.stores.catalog().schedule_resume(&seen, next_fire_at).await? {
            return shown(&app, &who, Schedule { paused: false, next_fire_at, ..seen }).await.map(JsonAnswer);
        }
    }
    Err(retries_exhausted())
}

/// `POST …/schedules/{schedule}/take-over`: from now on it fires as the caller. For one whose author has left, or may
/// no longer do what it does.
pub(super) async fn take_over(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    Path(named): Path<Named>,
) -> Result<JsonAnswer<ScheduleView>, Problem> {
    let id = JobId::generate(app.clock().now());
    let template = who.stamp_for_schedule(&app, &named.schedule, id, &ReindexKb::default())?;
    let actor = who.context.actor().to_string();
    for _ in 0..TRIES {
        let seen = known(&who, &named).await?;
        if seen.created_by == actor && seen.skipped.is_none() {
            return shown(&app, &who, seen).await.map(JsonAnswer);
        }
        if who.stores.catalog().schedule_take_over(&seen, &template, &actor).await? {
            app.directory().invalidate(who.tenant()).await;
            let schedule = known(&who, &named).await?;
            return shown(&app, &who, schedule).await.map(JsonAnswer);
        }
    }
    Err(retries_exhausted())
}

/// `POST …/schedules/{schedule}/run`: fires it now. The job is the schedule's, with what its maker may do, and its next
/// time stays.
pub(super) async fn run(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    key: IdempotencyKey,
    Path(named): Path<Named>,
) -> Result<Answer<KbJob>, Problem> {
    let fingerprint = Fingerprint::of("schedule.run", [who.kb.id.as_str(), named.schedule.as_str()]);
    let submission =
        Submission { app: &app, stores: &who.stores, key: &key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let schedule = known(&who, &named).await?;
    check_type(&schedule.kind)?;
    let now = app.clock().now();
    let job = who.stamp_for_schedule(&app, &schedule.name, JobId::generate(now), &ReindexKb::default())?;
    let answer = accept_reindex(&submission, &who, job).await?;
    if !answer.replayed {
        who.stores.catalog().schedule_fired(&who.kb.id, &schedule.name, now).await?;
    }
    Ok(answer)
}

/// `DELETE …/schedules/{schedule}`
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: KbCaller<ManageJobs>,
    Path(named): Path<Named>,
) -> Result<NoContent, Problem> {
    check_name(&named.schedule).map_err(|_| Problem::not_found())?;
    if !who.stores.catalog().schedule_delete(&who.kb.id, &named.schedule).await? {
        return Err(Problem::not_found());
    }
    app.directory().invalidate(who.tenant()).await;
    Ok(NoContent)
}

fn check_name(name: &str) -> Result<(), Problem> {
    let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&name.len()) && name.bytes().all(label) {
        Ok(())
    } else {
        Err(invalid_field("schedule", "the name has 1 to 63 of a-z, 0-9 and -".to_owned()))
    }
}

fn check_type(kind: &str) -> Result<(), Problem> {
    if kind == ReindexKb::TYPE {
        return Ok(());
    }
    Err(invalid_field("type", format!("only {} can be scheduled", ReindexKb::TYPE)))
}

/// When the schedule fires first, if it is valid and leaves enough time between two firings.
fn first_fire(wanted: &Wanted, now: DateTime<Utc>, interval: Duration) -> Result<DateTime<Utc>, Problem> {
    check_type(&wanted.kind)?;
    let next = |after| next_fire(&wanted.cron, &wanted.time_zone, after).map_err(|error| refusal(&error));
    let first = next(now)?;
    let mut at = first;
    for _ in 0..LOOKAHEAD {
        let following = next(at)?;
        if (following - at).to_std().is_ok_and(|gap| gap < interval) {
            let detail = format!("leave at least {} s between two firings", interval.as_secs());
            return Err(Problem::new(Code::ScheduleTooFrequent, detail).field("cron"));
        }
        at = following;
    }
    Ok(first)
}

fn refusal(error: &InvalidCron) -> Problem {
    let (code, field) = match error {
        InvalidCron::TimeZone(_) => (Code::InvalidTimeZone, "time_zone"),
        InvalidCron::Expression(_) | InvalidCron::Never => (Code::InvalidCron, "cron"),
    };
    Problem::new(code, error.to_string()).field(field)
}

/// A schedule.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Schedule")]
pub(super) struct ScheduleView {
    name: String,
    /// The type of the jobs that it enqueues.
    #[serde(rename = "type")]
    kind: String,
    cron: String,
    time_zone: String,
    /// Its next time. While it is paused it does not fire.
    next_fire_at: DateTime<Utc>,
    last_fire_at: Option<DateTime<Utc>>,
    paused: bool,
    /// The actor whose permissions it has: who made it, replaced it or took it over last.
    created_by: String,
    /// Why it will not fire when it is due next; null when it will. `POST …/take-over` gives it to the caller.
    blocked: Option<Blocked>,
    /// The last time that it was due and did not fire; null when it has fired since.
    last_skipped: Option<LastSkipped>,
}

/// What keeps a schedule from firing.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ScheduleBlocked")]
pub(super) struct Blocked {
    /// `actor_forbidden`.
    code: &'static str,
    detail: String,
}

/// A time at which a schedule did not fire.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ScheduleSkipped")]
pub(super) struct LastSkipped {
    at: DateTime<Utc>,
    /// A stable code, such as `actor_forbidden` or `over_quota`.
    code: String,
    detail: String,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        let Schedule {
            name,
            kind,
            cron,
            time_zone,
            next_fire_at,
            last_fire_at,
            paused,
            created_by,
            skipped,
            ..
        } = schedule;
        let last_skipped = skipped.map(|Skipped { at, code, detail }| LastSkipped { at, code, detail });
        let blocked = None;
        Self {
            name,
            kind,
            cron,
            time_zone,
            next_fire_at,
            last_fire_at,
            paused,
            created_by,
            blocked,
            last_skipped,
        }
    }
}

/// Schedules, by name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ScheduleList {
    schedules: Vec<ScheduleView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(cron: &str, time_zone: &str, kind: &str) -> Result<String, Code> {
        let wanted = Wanted { cron: cron.into(), time_zone: time_zone.into(), kind: kind.into() };
        let now = "2026-01-15T12:00:00Z".parse().unwrap();
        let first = first_fire(&wanted, now, Duration::from_secs(300));
        first.map(|at| at.to_rfc3339()).map_err(|problem| problem.code())
    }

    #[test]
    fn a_schedule_is_read_in_its_zone_and_must_leave_time() {
        let kind = ReindexKb::TYPE;
        assert_eq!(fire("0 3 * * *", "Europe/Berlin", kind).unwrap(), "2026-01-16T02:00:00+00:00");
        assert_eq!(fire("*/5 * * * *", "UTC", kind).unwrap(), "2026-01-15T12:05:00+00:00");
        assert_eq!(fire("* * * * *", "UTC", kind), Err(Code::ScheduleTooFrequent));
        assert_eq!(fire("0,1 3 * * *", "UTC", kind), Err(Code::ScheduleTooFrequent));
        assert_eq!(fire("0 0 30 2 *", "UTC", kind), Err(Code::InvalidCron));
        assert_eq!(fire("* * * * * *", "UTC", kind), Err(Code::InvalidCron));
        assert_eq!(fire("0 3 * * *", "Mars/Olympus", kind), Err(Code::InvalidTimeZone));
        assert_eq!(fire("0 3 * * *", "UTC", "document.ingest"), Err(Code::InvalidField));
    }

    #[test]
    fn names_of_schedules_are_labels() {
        assert!(check_name("nightly-2").is_ok());
        for bad in ["", "A", "a b", "a/b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
