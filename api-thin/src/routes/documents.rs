//! Documents of a knowledge base: upload, list, show, delete.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use jobs::tenant::{KbId, TenantId};
use jobs::types::{BuildGraph, DeleteDocument, IngestDocument};
use jobs::{BatchId, DocumentId, JobId, Lane};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::TenantStores;
use stores::model::{
    Acceptance, Document, DocumentCounts, DocumentFault, DocumentStage, DocumentStatus, Event, EventKind,
    FailedChunk, Growth, KnownDocument, Losses, NewDocument, UploadQuestion, Usage,
};

use super::document_waits;
use super::document_waits::AwaitedJob;
use super::parameters::{NumberedPage, PageNumbers, page_after, page_limit, parameter};
use crate::accept::{Fingerprint, IdempotencyKey, Names, Submission, ensure_room, retries_exhausted};
use crate::answer::{Answer, batch_location, job_location};
use crate::documents::{RawDocument, Unregistered, Upload, check_uploads, name_of_text};
use crate::problem::{Code, Problem};
use crate::request::{
    AskedLane, CreateDocuments, DeleteDocuments, Files, KbCaller, NamedBatch, Query, ReadDocuments,
    UploadJson,
};
use crate::state::ApiState;

/// `POST …/documents`: files as multipart.
pub(super) async fn upload_files(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    batch: NamedBatch,
    lane: AskedLane,
    Files { files, room: _room }: Files,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let uploads = check_uploads(files, app.request_limits()).await?;
    accept_documents(&app, &who, (&key, batch, lane), &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TextDocument {
    /// A relative file name with `/` between its parts: it names the document. Made from the text if absent, the same
    /// one for the same text.
    #[schemars(length(min = 1))]
    name: Option<String>,
    text: String,
    /// Derived from the name if absent.
    media_type: Option<String>,
}

impl TextDocument {
    fn into_raw(self, place: String) -> RawDocument {
        let Self { name, text, media_type } = self;
        let name = name.unwrap_or_else(|| name_of_text(&text, media_type.as_deref()));
        RawDocument { place, name, declared: media_type, bytes: Bytes::from(text), is_text: true }
    }
}

/// `POST …/documents/text`: one document as JSON.
pub(super) async fn upload_text(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    batch: NamedBatch,
    lane: AskedLane,
    UploadJson { body: document, room: _room }: UploadJson<TextDocument>,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let uploads = check_uploads(vec![document.into_raw("document".to_owned())], app.request_limits()).await?;
    accept_documents(&app, &who, (&key, batch, lane), &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DocumentBatch")]
pub(super) struct Batch {
    /// At least one; each name once.
    #[schemars(length(min = 1))]
    documents: Vec<TextDocument>,
}

/// `POST …/documents/batch`: several documents as JSON, all or none.
pub(super) async fn upload_batch(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    batch: NamedBatch,
    lane: AskedLane,
    UploadJson { body: sent, room: _room }: UploadJson<Batch>,
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let raw = sent.documents.into_iter().enumerate();
    let raw = raw.map(|(at, document)| document.into_raw(format!("documents[{at}]"))).collect();
    let uploads = check_uploads(raw, app.request_limits()).await?;
    accept_documents(&app, &who, (&key, batch, lane), &uploads).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only those in this status.
    #[schemars(with = "Option<DocumentStatus>")]
    status: Option<String>,
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

/// `GET …/documents`: a page of documents, by id.
pub(super) async fn list(
    who: KbCaller<ReadDocuments>,
    Query(asked): Query<Listing>,
) -> Result<JsonAnswer<DocumentPage>, Problem> {
    let status: Option<DocumentStatus> = parameter("status", asked.status.as_deref())?;
    let row = |document| DocumentView { failed_chunks: Vec::new(), ..DocumentView::from(document) };
    let (catalog, kb) = (who.stores.catalog(), &who.kb.id);
    let cursor = [asked.after.as_deref(), asked.limit.as_deref()];
    let numbered = NumberedPage::asked(asked.page.as_deref(), asked.page_size.as_deref(), cursor)?;
    if let Some(numbered) = numbered {
        let totals = DocumentStatus::ALL.into_iter().zip(catalog.document_totals(kb).await?);
        let counted = totals.filter(|(of, _)| status.is_none_or(|status| status == *of));
        let numbers = Some(numbered.of(counted.map(|(_, total)| total).sum()));
        let found = catalog.documents_numbered(kb, status, numbered.offset(), numbered.size).await?;
        let documents = found.into_iter().map(row).collect();
        return Ok(JsonAnswer(DocumentPage { documents, next: None, numbers }));
    }
    let after: Option<DocumentId> = page_after(asked.after.as_deref())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let page = catalog.documents(kb, status, after.as_ref(), limit).await?;
    let documents = page.items.into_iter().map(row).collect();
    Ok(JsonAnswer(DocumentPage { documents, next: page.next, numbers: None }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Shown {
    #[schemars(with = "DocumentId")]
    document: String,
}

/// `GET …/documents/{document}`
pub(super) async fn show(
    State(app): State<ApiState>,
    who: KbCaller<ReadDocuments>,
    Path(shown): Path<Shown>,
) -> Result<JsonAnswer<DocumentView>, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    let mut document =
        who.stores.catalog().document(&who.kb.id, &id).await?.ok_or_else(Problem::not_found)?;
    if !document.status.is_in_graph()
        && let Some(served) = who.stores.index().document_served(&who.kb, &id).await?
    {
        // A worker that dies between the two leaves the index ahead of the catalog until the work is repeated.
        (document.served, document.counts) = (Some(served.revision), served.counts);
    }
    let waits_for = document_waits::awaited(&app, &who, &mut document).await?;
    let view = with_stage(&who.stores, &who.kb.id, document).await;
    Ok(JsonAnswer(DocumentView { waits_for, ..view }))
}

/// A document with its stage.
///
/// # Errors
/// When it does not exist, or the catalog does not answer.
pub(super) async fn document_view(
    stores: &TenantStores,
    kb: &KbId,
    id: &DocumentId,
) -> Result<DocumentView, Problem> {
    let document = stores.catalog().document(kb, id).await?.ok_or_else(Problem::not_found)?;
    Ok(with_stage(stores, kb, document).await)
}

async fn with_stage(stores: &TenantStores, kb: &KbId, document: Document) -> DocumentView {
    // What it shows besides may be lost at any time.
    let stage = stores.live().document_stage(kb, &document).await.ok().flatten();
    DocumentView { stage, ..DocumentView::from(document) }
}

/// `DELETE …/documents/{document}`: remove it from every store.
pub(super) async fn delete(
    State(app): State<ApiState>,
    who: KbCaller<DeleteDocuments>,
    key: IdempotencyKey,
    Path(shown): Path<Shown>,
) -> Result<Answer<DocumentJob>, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    accept_document_delete(&app, &who, &key, id).await
}

/// `POST …/documents/{document}/retry`: extract the chunks once more that gave nothing.
pub(super) async fn retry(
    State(app): State<ApiState>,
    who: KbCaller<CreateDocuments>,
    key: IdempotencyKey,
    Path(shown): Path<Shown>,
) -> Result<Answer<DocumentJob>, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    let fingerprint = Fingerprint::of("document.retry", [who.kb.id.as_str(), id.as_str()]);
    let submission =
        Submission { app: &app, stores: &who.stores, key: &key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let document = who.stores.catalog().document(&who.kb.id, &id).await?.ok_or_else(Problem::not_found)?;
    if document.status != DocumentStatus::Partial {
        let detail = format!(
            "the document is {}: only chunks of a partial one can be extracted once more; a failed one goes on when \
             its dead letter is started again, or when it is uploaded again",
            document.status
        );
        return Err(Problem::new(Code::NotPartial, detail));
    }
    let job_id = JobId::generate(app.clock().now());
    let job = BuildGraph::retrying(id.clone(), document.revision);
    let job = match document.batch {
        // A person asks for this one, whatever the batch was.
        Some(batch) => who.stamp_in(&app, job_id, (batch, Lane::Interactive), &job)?,
        None => who.stamp(&app, job_id, &job)?,
    };
    ensure_room(&app, who.known_room(), std::slice::from_ref(&job)).await?;
    let location = job_location(who.tenant(), job_id);
    let body = DocumentJob { job_id, location, document_id: id, revision: document.revision };
    submission.accept_once(Acceptance { jobs: vec![job], ..Acceptance::default() }, body).await
}

/// How often others may upload the same document in between before we give up.
const TRIES: u32 = 8;

/// Documents that were accepted. `job_id` and `location` are those of the first; each has its own.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AcceptedDocuments {
    /// The job that does the work.
    job_id: JobId,
    /// URL of the job.
    location: String,
    /// The batch that the documents belong to.
    batch_id: BatchId,
    /// URL of the batch.
    batch_location: String,
    documents: Vec<AcceptedDocument>,
}

/// A document that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
struct AcceptedDocument {
    document_id: DocumentId,
    /// Its file name, as it is kept.
    name: String,
    /// How often the name was uploaded.
    revision: u64,
    /// The job that ingests it.
    job_id: JobId,
    /// URL of the job.
    location: String,
}

/// Stores the originals, registers the documents and enqueues one `document.ingest` for each: all of them or
/// none.
///
/// # Errors
/// When the tenant may not have more documents or work in the queue, the idempotency key was used for another
/// request, others keep uploading the same documents, or a store does not answer.
async fn accept_documents(
    app: &ApiState,
    who: &KbCaller<CreateDocuments>,
    (key, batch, lane): (&IdempotencyKey, NamedBatch, AskedLane),
    uploads: &[Upload],
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let fingerprint = fingerprint(who, batch, uploads);
    let lane = lane.0.unwrap_or_else(|| usual_lane(batch, uploads.len()));
    let batch = batch.0.unwrap_or_else(|| BatchId::generate(app.clock().now(), rand::random()));
    let places = uploads.iter().enumerate();
    let places = places.map(|(at, upload)| (format!("/documents/{at}/name"), upload.name.as_str()));
    let names = Names(places.collect());
    let submission = Submission { app, stores: &who.stores, key, fingerprint, names };
    let (catalog, limits) = (who.stores.catalog(), who.limits(app).await?);
    let documents: Vec<DocumentId> = uploads.iter().map(|upload| upload.name.document_id()).collect();
    let (kb, key) = (&who.kb.id, key.0.as_deref());
    let asked = UploadQuestion { kb, documents: &documents, key, batch: Some(batch), limits: &limits };
    for _ in 0..TRIES {
        let view = catalog.upload_view(&asked, app.clock().now()).await?;
        if let Some(replay) = view.replay {
            return submission.again(replay);
        }
        if view.batch_cancelled {
            let detail = "nothing more is accepted into it: leave the Batch-Id out, or choose another";
            return Err(Problem::new(Code::BatchCancelled, detail));
        }
        let (acceptance, body, growth) =
            acceptance_of(app, who, (batch, lane, uploads), &view.documents, &limits)?;
        ensure_quota(app, &view.usage, &acceptance, growth)?;
        ensure_room(app, who.known_room(), &acceptance.jobs).await?;
        // After the revisions were read and before they are raised: the job of an earlier revision then sees that
        // these originals are newer than its own and does not delete them.
        let originals = Unregistered::store(&who.stores, &who.kb.id, uploads).await?;
        let told = body.documents.iter().map(|document| (document.document_id.clone(), document.revision));
        let told: Vec<_> = told.collect();
        if let Some(answer) = submission.accept(acceptance, body).await? {
            if !answer.replayed {
                originals.registered();
                tell(app, who, batch, &told);
            }
            return Ok(answer);
        }
    }
    Err(retries_exhausted())
}

/// Tells those who listen in this process at once. Others learn of the documents when a worker begins with them: an
/// upload makes no trip for it.
fn tell(app: &ApiState, who: &KbCaller<CreateDocuments>, batch: BatchId, documents: &[(DocumentId, u64)]) {
    let live = who.stores.live();
    if !live.has_listeners() {
        return;
    }
    for (id, revision) in documents {
        live.tell(Event {
            kb_id: Some(who.kb.id.clone()),
            document_id: Some(id.clone()),
            revision: Some(*revision),
            batch_id: Some(batch),
            status: Some(DocumentStatus::Pending.to_string()),
            ..Event::new(EventKind::Document, app.clock().now())
        });
    }
}

/// Up to so many files in one request are taken for a person's who waits for them.
const HANDFUL: usize = 5;

/// The lane of an upload that does not choose one. A batch that gathers several requests is the work of a program.
fn usual_lane(batch: NamedBatch, files: usize) -> Lane {
    if batch.0.is_some() || files > HANDFUL { Lane::Bulk } else { Lane::Interactive }
}

/// A batch that the caller named belongs to the request; one that is made for it does not.
fn fingerprint(who: &KbCaller<CreateDocuments>, batch: NamedBatch, uploads: &[Upload]) -> Fingerprint {
    let batch = batch.0.map(|batch| batch.to_string());
    let documents =
        uploads.iter().flat_map(|upload| [upload.name.as_str(), upload.media_type, &upload.sha256]);
    let parts = std::iter::once(who.kb.id.as_str()).chain(documents).chain(batch.as_deref());
    Fingerprint::of("documents", parts)
}

fn acceptance_of(
    app: &ApiState,
    who: &KbCaller<CreateDocuments>,
    (batch, lane, uploads): (BatchId, Lane, &[Upload]),
    known: &[KnownDocument],
    limits: &Limits,
) -> Result<(Acceptance, AcceptedDocuments, Growth), Problem> {
    let (mut documents, mut jobs) = (Vec::new(), Vec::<StampedJob>::new());
    let (mut replaced, mut replaced_bytes) = (0, 0);
    for (upload, known) in uploads.iter().zip(known) {
        let (id, revision) = (upload.name.document_id(), known.revision + 1);
        if let Some(bytes) = known.replaced_bytes {
            replaced += 1;
            replaced_bytes += bytes;
        }
        let job_id = JobId::generate(app.clock().now());
        let job = IngestDocument { document_id: id.clone(), revision };
        jobs.push(who.stamp_in(app, job_id, (batch, lane), &job)?);
        documents.push(NewDocument {
            id,
            name: upload.name.to_string(),
            revision,
            media_type: upload.media_type.to_owned(),
            size_bytes: u64::try_from(upload.bytes.len()).unwrap_or(u64::MAX),
            sha256: upload.sha256.clone(),
            job_id,
        });
    }
    let body = body(who.tenant(), batch, &documents)?;
    let growth = Growth::of(&documents, replaced, replaced_bytes);
    let (documents, limits) = (Some((who.kb.id.clone(), documents)), limits.clone());
    Ok((Acceptance { documents, batch: Some(batch), jobs, limits, ..Acceptance::default() }, body, growth))
}

fn body(tenant: &TenantId, batch: BatchId, documents: &[NewDocument]) -> Result<AcceptedDocuments, Problem> {
    let row = |document: &NewDocument| AcceptedDocument {
        document_id: document.id.clone(),
        name: document.name.clone(),
        revision: document.revision,
        job_id: document.job_id,
        location: job_location(tenant, document.job_id),
    };
    let first =
        documents.first().ok_or_else(|| Problem::new(Code::NoDocuments, "send at least one document"))?;
    let location = job_location(tenant, first.job_id);
    Ok(AcceptedDocuments {
        job_id: first.job_id,
        location,
        batch_id: batch,
        batch_location: batch_location(tenant, batch),
        documents: documents.iter().map(row).collect(),
    })
}

/// Refuses documents that the tenant has no room for before their originals are stored, so that a tenant at its quota
/// cannot fill the blob store. Concurrent requests that pass this check are checked again when they are accepted.
///
/// # Errors
/// When a quota is used up.
fn ensure_quota(
    app: &ApiState,
    usage: &Usage,
    acceptance: &Acceptance,
    growth: Growth,
) -> Result<(), Problem> {
    let now = app.clock().now();
    let documents = growth.refused(&acceptance.limits, usage);
    match documents.or_else(|| usage.jobs_refused(&acceptance.limits, acceptance.jobs.len())) {
        Some(over) => Err(Problem::over_quota(&over, now)),
        None => Ok(()),
    }
}

/// Work on a document.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DocumentJob {
    /// The job that does the work.
    job_id: JobId,
    /// URL of the job.
    location: String,
    document_id: DocumentId,
    /// The document's revision that the job is for.
    revision: u64,
}

/// Enqueues one `document.delete` for the document's current revision. A later upload under its name stays.
///
/// # Errors
/// When there is no such document, the tenant may not have more jobs in the queue, the idempotency key was used for
/// another request, or a store does not answer.
async fn accept_document_delete(
    app: &ApiState,
    who: &KbCaller<DeleteDocuments>,
    key: &IdempotencyKey,
    id: DocumentId,
) -> Result<Answer<DocumentJob>, Problem> {
    let fingerprint = Fingerprint::of("document.delete", [who.kb.id.as_str(), id.as_str()]);
    let submission = Submission { app, stores: &who.stores, key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let document = who.stores.catalog().document(&who.kb.id, &id).await?;
    let revision = document.ok_or_else(Problem::not_found)?.revision;
    let job_id = JobId::generate(app.clock().now());
    let job = who.stamp(app, job_id, &DeleteDocument { document_id: id.clone(), revision })?;
    ensure_room(app, who.known_room(), std::slice::from_ref(&job)).await?;
    let location = job_location(who.tenant(), job_id);
    let body = DocumentJob { job_id, location, document_id: id, revision };
    submission.accept_once(Acceptance { jobs: vec![job], ..Acceptance::default() }, body).await
}

/// A document and its status.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub(super) struct DocumentView {
    id: DocumentId,
    /// Its (relative) file name.
    name: String,
    /// Grows with each upload under the name: the newest one, which `status`, `error`, `size_bytes` and `sha256` are
    /// about.
    revision: u64,
    /// The revision that is in the index; null when none is. While a later one is made, and when that fails or is
    /// cancelled, it stays.
    served_revision: Option<u64>,
    status: DocumentStatus,
    /// The step that it is at, and how much of that is done; not in lists, and null when it has ended.
    stage: Option<DocumentStage>,
    /// The job that it waits for, and why; null when it has ended. Not in lists.
    waits_for: Option<AwaitedJob>,
    /// Why it failed, when it did.
    error: Option<DocumentFault>,
    media_type: String,
    /// The size of the original.
    size_bytes: u64,
    /// SHA-256 of the original, in hexadecimal.
    sha256: String,
    /// How much of the served revision is in the index.
    counts: DocumentCounts,
    /// Of a partial document, how many of its chunks gave nothing.
    chunks_failed: u32,
    /// The first 100 of them, each with the reason and whether another try may succeed; not in lists.
    failed_chunks: Vec<FailedChunk>,
    /// Records that the extractor gave and that could not be kept, such as relations without an end.
    records_dropped: u64,
    /// The job that ingests this revision.
    job_id: JobId,
    /// The batch of the last upload; null for documents of before there were batches.
    batch_id: Option<BatchId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Why a document failed, and what of it is still there.
fn fault(document: &Document) -> Option<DocumentFault> {
    let DocumentFault { code, detail } = document.fault.clone()?;
    let detail = match document.served {
        None => detail,
        Some(served) if served == document.revision => format!(
            "revision {served} is served as it was made before, because making it again failed: {detail}; \
             retry its job, or reindex"
        ),
        Some(served) => format!(
            "revision {served} is still served, because revision {} failed: {detail}; retry its job, or upload the \
             document again",
            document.revision
        ),
    };
    Some(DocumentFault { code, detail })
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        let (is_in_graph, error) = (document.status.is_in_graph(), fault(&document));
        let losses = if is_in_graph { document.losses } else { Losses::default() };
        Self {
            error,
            id: document.id,
            name: document.name,
            revision: document.revision,
            served_revision: document.served,
            status: document.status,
            stage: None,
            waits_for: None,
            media_type: document.media_type,
            size_bytes: document.size_bytes,
            sha256: document.sha256,
            counts: document.counts,
            chunks_failed: losses.chunks_failed,
            failed_chunks: losses.chunks,
            records_dropped: losses.records_dropped,
            job_id: document.job_id,
            batch_id: document.batch,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// Documents, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DocumentPage {
    pub(super) documents: Vec<DocumentView>,
    /// Where the next page begins; null at the end, and for a page by number.
    pub(super) next: Option<String>,
    #[serde(flatten)]
    pub(super) numbers: Option<PageNumbers>,
}
