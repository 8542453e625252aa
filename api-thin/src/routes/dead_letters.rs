use axum::Json as Answering;
use axum::extract::{Path, State};
use axum::response::NoContent;
use jobs::JobId;
use jobs::queue::{JobFilter, JobState, JobStatus, Kept, Redriven};
use jobs::tenant::KbId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::job_filter::{Filter, asked_kb, reach};
use super::jobs::{Shown, check_reach};
use super::kept_view::{KeptPage, KeptRow, KeptView, PurgeReport, Redelivery, RedriveReport};
use super::page::{invalid, jobs_after, jobs_next, page_limit};
use crate::accept::{Answer, job_location};
use crate::extract::{Anyone, Caller, Json, ManageJobs, Query};
use crate::problem::{Code, Problem};
use crate::redrive::Redrive;
use crate::server::ApiState;

const KEPT: &[JobState] = &[JobState::Discarded, JobState::Quarantined];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those of this knowledge base.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
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
    let limit = usize::try_from(page_limit(asked.limit.as_deref())?).unwrap_or(usize::MAX);
    let after = jobs_after(app, who.tenant(), asked.after.as_deref())?;
    let kb = asked_kb(app, who, asked.kb_id.as_deref(), |problem| invalid("kb_id", &problem)).await?;
    let filter = reach(JobFilter { kb, ..JobFilter::default() }, who);
    let page = app.queue().kept_page(who.tenant(), kept, &filter, after.as_ref(), limit).await?;
    let next = jobs_next(app, who.tenant(), page.next);
    Ok(Answering(KeptPage { jobs: page.jobs.into_iter().map(KeptRow::of).collect(), next }))
}

/// `GET …/dead-letters/{job}`: everything that is known of a dead letter or a quarantined job but its stamp.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<Answering<KeptView>, Problem> {
    let status = kept(&app, &who, shown.id()?).await?;
    let said = app.queue().inspect(who.tenant(), &[status.id]).await?.pop().flatten();
    Ok(Answering(KeptView::of(status, said)))
}

/// Where a job is that will not run by itself, if the credentials reach it.
async fn kept(app: &ApiState, who: &Caller<ManageJobs>, id: JobId) -> Result<JobStatus, Problem> {
    check_reach(app, who, id).await?;
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
    who: Caller<ManageJobs>,
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
async fn place(
    app: &ApiState,
    who: &Caller<ManageJobs>,
    filter: Filter,
) -> Result<(Kept, JobFilter), Problem> {
    let mut filter = reach(filter.read(app, who, KEPT).await?, who);
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
    who: Caller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answer<RedriveReport>, Problem> {
    let (place, filter) = place(&app, &who, filter).await?;
    let ids = app.queue().kept_where(who.tenant(), place, &filter).await?;
    let done = redrive(app, &who).jobs(ids).await?;
    let count = |wanted| done.iter().filter(|done| **done == wanted).count();
    let (started, key_taken) = (count(Redriven::Started), count(Redriven::KeyTaken));
    Ok(Answer::new(RedriveReport { started, unique_key_taken: key_taken }))
}

/// `DELETE …/dead-letters/{job}`: throws one away.
pub(super) async fn purge(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Path(shown): Path<Shown>,
) -> Result<NoContent, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    let purged = app.queue().purge(who.tenant(), id).await?;
    if purged { Ok(NoContent) } else { Err(Problem::not_found()) }
}

/// `POST …/dead-letters/purge`: throws those away that match a filter.
pub(super) async fn purge_matching(
    State(app): State<ApiState>,
    who: Caller<ManageJobs>,
    Json(filter): Json<Filter>,
) -> Result<Answering<PurgeReport>, Problem> {
    let (place, filter) = place(&app, &who, filter).await?;
    let purged = app.queue().purge_where(who.tenant(), place, &filter).await?;
    Ok(Answering(PurgeReport { purged }))
}
