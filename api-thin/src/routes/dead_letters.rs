use axum::Json as Answering;
use axum::extract::{Path, State};
use axum::response::NoContent;
use jobs::JobId;
use jobs::queue::{JobFilter, JobState, JobStatus, Kept, Redriven};
use schemars::JsonSchema;
use serde::Deserialize;

use super::job_filter::Filter;
use super::jobs::Shown;
use super::kept_view::{KeptPage, KeptRow, KeptView, PurgeReport, Redelivery, RedriveReport};
use super::page::{next_offset, page_limit, page_offset};
use crate::accept::{Answer, job_location};
use crate::extract::{Anyone, Caller, Json, ManageJobs, Query, TenantCaller};
use crate::problem::{Code, Problem};
use crate::redrive::Redrive;
use crate::server::ApiState;

const KEPT: &[JobState] = &[JobState::Discarded, JobState::Quarantined];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 unless it is said.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/dead-letters`: jobs whose attempts are used up, newest first.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Query(asked): Query<Listing>,
) -> Result<Answering<KeptPage>, Problem> {
    page(&app, &who, Kept::Discarded, &asked).await
}

/// `GET …/quarantine`: jobs that may not run, newest first.
pub(super) async fn list_quarantine(
    State(app): State<ApiState>,
    who: Caller<Anyone>,
    Query(asked): Query<Listing>,
) -> Result<Answering<KeptPage>, Problem> {
    page(&app, &who, Kept::Quarantined, &asked).await
}

async fn page(
    app: &ApiState,
    who: &Caller<Anyone>,
    kept: Kept,
    asked: &Listing,
) -> Result<Answering<KeptPage>, Problem> {
    let (limit, offset) = (page_limit(asked.limit.as_deref())?, page_offset(asked.after.as_deref())?);
    let from = u32::try_from(offset).unwrap_or(u32::MAX);
    let jobs = app.queue().kept(who.tenant(), kept, from, limit).await?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let said = app.queue().inspect(who.tenant(), &ids).await?;
    let next = next_offset(offset, limit, jobs.len());
    let jobs = jobs.into_iter().zip(said).map(|(job, said)| KeptRow::of(job, said)).collect();
    Ok(Answering(KeptPage { jobs, next }))
}

/// `GET …/dead-letters/{job}`: everything that is known of a dead letter or a quarantined job but its stamp.
pub(super) async fn show(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answering<KeptView>, Problem> {
    let status = kept(&app, &who, shown.id()?).await?;
    let said = app.queue().inspect(who.tenant(), &[status.id]).await?.pop().flatten();
    Ok(Answering(KeptView::of(status, said)))
}

/// Where a job is that will not run by itself.
async fn kept(app: &ApiState, who: &Caller<ManageJobs>, id: JobId) -> Result<JobStatus, Problem> {
    let status = app.queue().lookup(who.tenant(), id).await?;
    status.filter(|status| KEPT.contains(&status.state)).ok_or_else(Problem::not_found)
}

fn redrive(app: ApiState, who: &Caller<ManageJobs>) -> Redrive {
    let by = who.context.actor().to_string();
    Redrive { app, stores: who.stores.clone(), tenant: who.tenant().clone(), by }
}

/// `POST …/dead-letters/{job}/retry`: starts one again, with all its attempts.
pub(super) async fn retry(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answer<Redelivery>, Problem> {
    let id = kept(&app, &who, shown.id()?).await?.id;
    match redrive(app, &who).jobs(vec![id]).await?.first() {
        Some(Redriven::Started) => {
            let location = job_location(who.tenant(), id);
            Ok(Answer::new(Redelivery { job_id: id, location }))
        }
        Some(Redriven::KeyTaken) => {
            let detail = "it can start when that job has ended, or when that one is cancelled";
            Err(Problem::new(Code::UniqueKeyTaken, detail))
        }
        Some(Redriven::NotFound) | None => Err(Problem::not_found()),
    }
}

/// Which of the two places a filter means: dead letters, unless it says `quarantined`.
fn place(filter: Filter) -> Result<(Kept, JobFilter), Problem> {
    let mut filter = filter.read(KEPT)?;
    let states = std::mem::take(&mut filter.states);
    match states.as_slice() {
        [] | [JobState::Discarded] => Ok((Kept::Discarded, filter)),
        [JobState::Quarantined] => Ok((Kept::Quarantined, filter)),
        _ => {
            let detail = "name one state: discarded or quarantined";
            Err(Problem::new(Code::InvalidField, detail).field("states"))
        }
    }
}

/// `POST …/dead-letters/retry`: starts those again that match a filter.
pub(super) async fn retry_matching(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer<RedriveReport>, Problem> {
    let (place, filter) = place(filter)?;
    let ids = app.queue().kept_where(who.tenant(), place, &filter).await?;
    let done = redrive(app, &who).jobs(ids).await?;
    let count = |wanted| done.iter().filter(|done| **done == wanted).count();
    let (started, key_taken) = (count(Redriven::Started), count(Redriven::KeyTaken));
    Ok(Answer::new(RedriveReport { started, unique_key_taken: key_taken }))
}

/// `DELETE …/dead-letters/{job}`: throws one away.
pub(super) async fn purge(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<NoContent, Problem> {
    let purged = app.queue().purge(who.tenant(), shown.id()?).await?;
    if purged { Ok(NoContent) } else { Err(Problem::not_found()) }
}

/// `POST …/dead-letters/purge`: throws those away that match a filter.
pub(super) async fn purge_matching(
    State(app): State<ApiState>,
    TenantCaller(who): TenantCaller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answering<PurgeReport>, Problem> {
    let (place, filter) = place(filter)?;
    let purged = app.queue().purge_where(who.tenant(), place, &filter).await?;
    Ok(Answering(PurgeReport { purged }))
}
