//! Knowledge bases: list, create, show, rename, delete, reindex.

use std::collections::BTreeMap;

use axum::Json as JsonAnswer;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::tenant::KbId;
use jobs::types::{DeleteKb, ReindexKb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Acceptance, DocumentStatus, Kb, NewKb, WorkspaceId};
use stores::{Catalog, TenantStores};

use super::parameters::{Nothing, Paging, invalid_field, text};
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

/// `GET …/kbs`: a page of the knowledge bases that the credentials reach, with their documents by status.
pub(super) async fn list(
    who: Caller<ReadDocuments>,
    Query(asked): Query<Paging>,
) -> Result<JsonAnswer<KbList>, Problem> {
    let catalog = who.stores.catalog();
    let reached = catalog.kbs().await?.into_iter().filter(|kb| who.reaches(Some(&kb.id)));
    let (page, next) = asked.cut(reached.collect(), |kb: &Kb| kb.id.to_string())?;
    let mut kbs = Vec::with_capacity(page.len());
    for kb in &page {
        kbs.push(view(kb, &catalog).await?);
    }
    Ok(JsonAnswer(KbList { kbs, next }))
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
}

/// `POST …/kbs`
pub(super) async fn create(
    State(app): State<ApiState>,
    who: TenantCaller<CreateKbs>,
    key: IdempotencyKey,
    Json(Wanted { kb_id, name }): Json<Wanted>,
) -> Result<Answer<MadeKb, 201>, Problem> {
    let id: Option<KbId> =
        kb_id.map(|id| id.parse()).transpose().map_err(|error| invalid_field("kb_id", format!("{error}")))?;
    accept_kb(&app, &who, &key, id, text("name", name, 200)?).await
}

/// `GET …/kbs/{kb}`
pub(super) async fn show(who: KbCaller<ReadDocuments>) -> Result<Versioned<KbView>, Problem> {
    let kb = now(&who).await?;
    versioned(&who, &kb).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KbChange")]
pub(super) struct Change {
    /// Another one: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: String,
}

/// `PATCH …/kbs/{kb}`: another name.
pub(super) async fn rename(
    who: KbCaller<CreateKbs>,
    if_match: IfMatch,
    Json(Change { name }): Json<Change>,
) -> Result<Versioned<KbView>, Problem> {
    let name = text("name", name, 200)?;
    for _ in 0..TRIES {
        let found = now(&who).await?;
        let expected = if_match.expect(found.revision)?;
        let revision = found.revision;
        if who.stores.catalog().kb_rename(&found.id, &name, revision).await? {
            let renamed = Kb { name, revision: revision + 1, ..found };
            return versioned(&who, &renamed).await;
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

async fn versioned<N: RequiredPermission>(who: &KbCaller<N>, kb: &Kb) -> Result<Versioned<KbView>, Problem> {
    let body = view(kb, &who.stores.catalog()).await?;
    Ok(Versioned { revision: kb.revision, body })
}

async fn view(kb: &Kb, catalog: &Catalog) -> Result<KbView, Problem> {
    let totals = catalog.document_totals(&kb.id).await?;
    let documents = DocumentStatus::ALL.iter().map(ToString::to_string).zip(totals).collect();
    Ok(KbView { id: kb.id.clone(), name: kb.name.clone(), created_at: kb.created_at, documents })
}

/// A knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Kb")]
pub(super) struct KbView {
    id: KbId,
    /// Display name.
    name: String,
    created_at: DateTime<Utc>,
    /// The number of its documents by status.
    documents: BTreeMap<String, u64>,
}

/// Knowledge bases, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KbList {
    kbs: Vec<KbView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// A knowledge base that was created.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MadeKb {
    id: KbId,
    /// Display name.
    name: String,
    created_at: DateTime<Utc>,
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
    id: Option<KbId>,
    name: String,
) -> Result<Answer<MadeKb, 201>, Problem> {
    let wanted = id.as_ref().map_or("", KbId::as_str);
    let submission = Submission {
        app,
        stores: &who.stores,
        key,
        fingerprint: Fingerprint::of("kbs", [wanted, name.as_str()]),
        names: Names(vec![("/name".to_owned(), &name)]),
    };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let (now, limits) = (app.clock().now(), who.limits(app).await?);
    let workspace = WorkspaceId::generate(now, random());
    let new = NewKb { id: id.unwrap_or_else(fresh_id), name: name.clone(), workspace };
    let kb = new.at(now);
    who.stores.documents().provision().await?;
    who.stores.index().provision(&kb).await?;
    let location = kb_location(who.tenant(), &kb.id);
    let body = MadeKb { id: kb.id.clone(), name: kb.name.clone(), created_at: kb.created_at, location };
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
