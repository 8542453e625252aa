//! Knowledge bases: list, create, show, rename, delete, reindex.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as JsonAnswer;
use axum::extract::State;
use chrono::{DateTime, SubsecRound as _, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::tenant::{KbId, TenantId};
use jobs::types::{DeleteKb, ReindexKb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::TenantStores;
use stores::model::{Acceptance, DocumentStatus, GraphCounts, Kb, KbStatistics, NewKb, WorkspaceId};

use super::parameters::{
    Nothing, NumberedPage, PageNumbers, Paging, description, invalid_field, megabytes, text,
};
use crate::accept::{Fingerprint, IdempotencyKey, Names, Submission, ensure_room, same_work};
use crate::answer::{Answer, Versioned, job_location, kb_location};
use crate::problem::{Code, Problem};
use crate::request::{
    Caller, CreateKbs, DeleteKbs, IfMatch, Json, KbCaller, OptionalJson, Query, ReadDocuments,
    RequiredPermission, TenantCaller, UpdateDocuments,
};
use crate::state::ApiState;

/// How often others may change the same knowledge base in between before we give up.
const TRIES: u32 = 8;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// In place of `after` and `limit`: the number of the page, 1 for the first.
    #[schemars(with = "Option<u32>", range(min = 1))]
    page: Option<String>,
    /// With `page`: how many to show, 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    page_size: Option<String>,
}

/// `GET …/kbs`: a page of the knowledge bases that the credentials reach, with their documents by status.
pub(super) async fn list(
    who: Caller<ReadDocuments>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<KbList>, Problem> {
    let cursor = [asked.after.as_deref(), asked.limit.as_deref()];
    let numbered = NumberedPage::asked(asked.page.as_deref(), asked.page_size.as_deref(), cursor)?;
    let catalog = who.stores.catalog();
    let reached = catalog.kbs().await?.into_iter().filter(|kb| who.reaches(Some(&kb.id))).collect();
    let key = |kb: &Kb| kb.id.to_string();
    let (page, next, numbers) = if let Some(numbered) = numbered {
        let (page, numbers) = numbered.cut(reached, key);
        (page, None, Some(numbers))
    } else {
        let paging = Paging { after: asked.after, limit: asked.limit };
        let (page, next) = paging.cut(reached, key)?;
        (page, next, None)
    };
    let ids: Vec<_> = page.iter().map(|kb| kb.id.clone()).collect();
    let mut statistics = catalog.kb_statistics(&ids).await?;
    let view = |kb: Kb| {
        let statistics = statistics.remove(&kb.id).unwrap_or_default();
        KbView::of(kb, who.tenant(), statistics)
    };
    Ok(JsonAnswer(KbList { kbs: page.into_iter().map(view).collect(), next, numbers }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKb")]
pub(super) struct Wanted {
    /// Generated if absent.
    #[schemars(with = "Option<KbId>")]
    kb_id: Option<String>,
    /// Display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// What people say of it: up to 2,000 characters.
    #[schemars(length(max = 2000))]
    description: Option<String>,
}

/// `POST …/kbs`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: TenantCaller<CreateKbs>,
    key: IdempotencyKey,
    Json(Wanted { kb_id, name, description: told }): Json<Wanted>,
) -> Result<Answer<MadeKb, 201>, Problem> {
    let id: Option<KbId> =
        kb_id.map(|id| id.parse()).transpose().map_err(|error| invalid_field("kb_id", format!("{error}")))?;
    let (name, told) = (text("name", name, 200)?, told.map(description).transpose()?.unwrap_or_default());
    accept_kb(&app, &who, &key, (id, name, told)).await
}

/// `GET …/kbs/{kb}`
pub(super) async fn show(who: KbCaller<ReadDocuments>) -> Result<Versioned<KbView>, Problem> {
    let kb = now(&who).await?;
    let graph = tokio::time::timeout(GRAPH_PATIENCE, who.stores.index().counts(&kb)).await;
    let Versioned { revision, body } = versioned(&who, kb).await?;
    // What it shows besides: without it while the graph does not answer.
    let graph = graph.ok().and_then(Result::ok).map(GraphView::from);
    Ok(Versioned { revision, body: KbView { graph, ..body } })
}

/// How long an answer waits for the size of the graph.
const GRAPH_PATIENCE: Duration = Duration::from_millis(500);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KbChange")]
pub(super) struct Change {
    /// Another name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// Another description: up to 2,000 characters.
    #[schemars(length(max = 2000))]
    description: Option<String>,
}

/// `PATCH …/kbs/{kb}`, and `PUT` for clients that put: another name, another description. What is left out stays.
pub(super) async fn rename(
    State(app): State<ApiState>,
    who: KbCaller<CreateKbs>,
    if_match: IfMatch,
    Json(change): Json<Change>,
) -> Result<Versioned<KbView>, Problem> {
    let name = change.name.map(|name| text("name", name, 200)).transpose()?;
    let told = change.description.map(description).transpose()?;
    for _ in 0..TRIES {
        let found = now(&who).await?;
        let expected = if_match.expect(found.revision)?;
        let after = Kb {
            name: name.clone().unwrap_or_else(|| found.name.clone()),
            description: told.clone().unwrap_or_else(|| found.description.clone()),
            revision: found.revision + 1,
            updated_at: app.clock().now().trunc_subsecs(6),
            ..found
        };
        if who.stores.catalog().kb_describe(&after).await? {
            return versioned(&who, after).await;
        }
        if expected.is_some() {
            return Err(IfMatch::failed());
        }
    }
    Err(Problem::new(Code::UploadConflict, "others change the same knowledge base").retry_after_s(1))
}

/// `DELETE …/kbs/{kb}`: close it, and empty every store of it.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: KbCaller<DeleteKbs>,
    key: IdempotencyKey,
) -> Result<Answer<KbJob>, Problem> {
    accept_kb_delete(&app, &who, &key).await
}

/// The knowledge base as it is now: what the directory knows of it may be some seconds old.
async fn now<N: RequiredPermission>(who: &KbCaller<N>) -> Result<Kb, Problem> {
    who.stores.catalog().kb(&who.kb.id).await?.ok_or_else(Problem::not_found)
}

async fn versioned<N: RequiredPermission>(who: &KbCaller<N>, kb: Kb) -> Result<Versioned<KbView>, Problem> {
    let mut statistics = who.stores.catalog().kb_statistics(std::slice::from_ref(&kb.id)).await?;
    let statistics = statistics.remove(&kb.id).unwrap_or_default();
    Ok(Versioned { revision: kb.revision, body: KbView::of(kb, who.tenant(), statistics) })
}

/// A knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Kb")]
pub(super) struct KbView {
    id: KbId,
    /// The same as `id`.
    kb_id: KbId,
    tenant_id: TenantId,
    /// Display name.
    name: String,
    /// The same as `name`.
    kb_name: String,
    /// What people say of it.
    description: String,
    /// Always: one that is being deleted is not shown.
    is_active: bool,
    created_at: DateTime<Utc>,
    /// The actor that created it; null if that was not noted.
    created_by: Option<String>,
    /// When its name or description was changed last.
    updated_at: DateTime<Utc>,
    /// The number of its documents by status.
    documents: BTreeMap<String, u64>,
    /// The number of its documents.
    document_count: u64,
    /// In mebibytes, what was extracted from the documents included.
    storage_size_mb: f64,
    #[serde(flatten)]
    graph: Option<GraphView>,
}

impl KbView {
    fn of(kb: Kb, tenant: &TenantId, statistics: KbStatistics) -> Self {
        let documents = DocumentStatus::ALL.iter().map(ToString::to_string).zip(statistics.documents);
        Self {
            kb_id: kb.id.clone(),
            id: kb.id,
            tenant_id: tenant.clone(),
            kb_name: kb.name.clone(),
            name: kb.name,
            description: kb.description,
            is_active: !kb.is_closed,
            created_at: kb.created_at,
            created_by: kb.created_by,
            updated_at: kb.updated_at,
            documents: documents.collect(),
            document_count: statistics.documents.iter().sum(),
            storage_size_mb: megabytes(statistics.storage_bytes),
            graph: None,
        }
    }
}

/// The size of its graph. Only where one knowledge base is asked for, and the graph answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KbGraph")]
struct GraphView {
    entity_count: u64,
    relation_count: u64,
}

impl From<GraphCounts> for GraphView {
    fn from(counts: GraphCounts) -> Self {
        Self { entity_count: counts.entities, relation_count: counts.relations }
    }
}

/// Knowledge bases, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KbList {
    kbs: Vec<KbView>,
    /// Where the next page begins; null at the end, and for a page by number.
    next: Option<String>,
    #[serde(flatten)]
    numbers: Option<PageNumbers>,
}

/// A knowledge base that was created.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MadeKb {
    #[serde(flatten)]
    kb: KbView,
    /// URL of the knowledge base.
    location: String,
}

/// Work on a knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KbJob {
    /// The job that does the work.
    pub(super) job_id: JobId,
    /// URL of the job.
    pub(super) location: String,
    pub(super) kb_id: KbId,
    /// Whether the job was there before: one that waits and does the same is not enqueued twice.
    pub(super) existing: bool,
}

/// Makes a knowledge base, its index first: what keeps two nodes of one name apart cannot be added later.
///
/// # Errors
/// When the id is taken, the idempotency key was used for another request, or a store does not answer.
async fn accept_kb(
    app: &ApiState,
    who: &TenantCaller<CreateKbs>,
    key: &IdempotencyKey,
    (id, name, description): (Option<KbId>, String, String),
) -> Result<Answer<MadeKb, 201>, Problem> {
    let mut parts = vec![id.as_ref().map_or("", KbId::as_str), name.as_str()];
    // As earlier releases did, so that a request can be repeated across an update.
    parts.extend((!description.is_empty()).then_some(description.as_str()));
    let names = [("/name", &name), ("/kb_name", &name), ("/description", &description)];
    let names = names.map(|(place, name)| (place.to_owned(), name.as_str()));
    let submission = Submission {
        app,
        stores: &who.stores,
        key,
        fingerprint: Fingerprint::of("kbs", parts),
        names: Names(names.into()),
    };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let (now, limits) = (app.clock().now(), who.limits(app).await?);
    let workspace = WorkspaceId::generate(now, random());
    let new = NewKb {
        description: description.clone(),
        created_by: Some(who.context.actor().to_string()),
        ..NewKb::new(id.clone().unwrap_or_else(fresh_id), name.as_str(), workspace)
    };
    let kb = new.at(now);
    who.stores.documents().provision().await?;
    who.stores.index().provision(&kb).await?;
    let location = kb_location(who.tenant(), &kb.id);
    let body = MadeKb { kb: KbView::of(kb.clone(), who.tenant(), KbStatistics::default()), location };
    let answer =
        submission.accept_once(Acceptance { kb: Some(new), limits, ..Acceptance::default() }, body).await;
    if !matches!(&answer, Ok(answer) if !answer.replayed) {
        forget_unless_made(&who.stores, &kb).await?;
    }
    answer
}

/// An attempt whose answer was lost may have created it.
async fn forget_unless_made(stores: &TenantStores, kb: &Kb) -> Result<(), Problem> {
    let found = stores.catalog().kb(&kb.id).await?;
    if found.is_none_or(|found| found.workspace != kb.workspace) {
        stores.index().kb_forget(kb).await?;
    }
    Ok(())
}

/// Closes a knowledge base at once and enqueues the `kb.delete` that empties it.
///
/// # Errors
/// When the tenant may not have more work in the queue, the idempotency key was used for another request, or a
/// store does not answer.
async fn accept_kb_delete(
    app: &ApiState,
    who: &KbCaller<DeleteKbs>,
    key: &IdempotencyKey,
) -> Result<Answer<KbJob>, Problem> {
    let fingerprint = Fingerprint::of("kb.delete", [who.kb.id.as_str(), who.kb.workspace.as_str()]);
    let submission = Submission { app, stores: &who.stores, key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let job_id = JobId::generate(app.clock().now());
    let job = who.stamp(app, job_id, &DeleteKb::default())?;
    ensure_room(app, who.known_room(), std::slice::from_ref(&job)).await?;
    let location = job_location(who.tenant(), job_id);
    let body = KbJob { job_id, location, kb_id: who.kb.id.clone(), existing: false };
    let kb_close = Some(who.kb.id.clone());
    submission.accept_once(Acceptance { kb_close, jobs: vec![job], ..Acceptance::default() }, body).await
}

fn fresh_id() -> KbId {
    let id = format!("kb-{}", &uuid::Uuid::now_v7().simple().to_string()[12..]);
    id.parse().expect("letters, a dash and hexadecimal digits are a label")
}

/// Keeps the workspaces of one millisecond apart.
fn random() -> u32 {
    let uuid = uuid::Uuid::now_v7();
    let bytes = uuid.as_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

/// `POST …/reindex`: read every document of the knowledge base again.
pub(super) async fn reindex(
    State(app): State<ApiState>,
    who: KbCaller<UpdateDocuments>,
    key: IdempotencyKey,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Answer<KbJob>, Problem> {
    let fingerprint = Fingerprint::of("reindex", [who.kb.id.as_str()]);
    let submission =
        Submission { app: &app, stores: &who.stores, key: &key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let job = who.stamp(&app, JobId::generate(app.clock().now()), &ReindexKb::default())?;
    accept_reindex(&submission, &who, job).await
}

/// Enqueues a `kb.reindex`, or answers with the one that waits already.
///
/// # Errors
/// When the tenant may not have more work in the queue, the idempotency key was used for another request, or a store
/// does not answer.
pub(super) async fn accept_reindex<N: RequiredPermission>(
    submission: &Submission<'_>,
    who: &KbCaller<N>,
    job: StampedJob,
) -> Result<Answer<KbJob>, Problem> {
    let (app, kb_id) = (submission.app, who.kb.id.clone());
    let body =
        |job_id, existing| KbJob { job_id, location: job_location(who.tenant(), job_id), kb_id, existing };
    if let Some(other) = same_work(app, &job).await {
        // Accepted without a job: the answer is kept for its idempotency key.
        return submission.accept_once(Acceptance::default(), body(other, true)).await;
    }
    ensure_room(app, who.known_room(), std::slice::from_ref(&job)).await?;
    let (job_id, limits) = (job.id(), who.limits(app).await?);
    let acceptance = Acceptance { jobs: vec![job], limits, ..Acceptance::default() };
    submission.accept_once(acceptance, body(job_id, false)).await
}
