//! `graph.build`: puts a document into the index when all of it is made: its chunks, and what was extracted from them,
//! merged into the knowledge base's graph. Until then the revision before is served.

use chrono::{DateTime, Utc};
use jobs::JobError;
use jobs::plan::{Limits, Quota};
use jobs::types::BuildGraph;
use stores::TenantStores;
use stores::model::{
    self, Chunk, Derived, Document, DocumentCounts, DocumentStatus, ExtractedRelation, Extraction,
    FailedChunk, IndexChange, IndexContent, Kb, Losses, Mention, MentionKind, OverQuota, Stage,
};
use tracing::Instrument as _;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use super::document::READ_AT_ONCE;
use crate::registry::Product;

/// Steps of building: mentions read, graph written.
const STEPS: u64 = 2;
/// Memory reserved for each chunk's mentions, with the copy that the index makes of them.
const CHUNK_BYTES: u64 = 64 * 1024;
/// Memory of a mention besides its description: its names and the allocations of its texts.
const MENTION_BYTES: usize = 256;
/// How often chunks that have no result are given to other jobs.
const EXTRACTED_AGAIN: u32 = 2;
/// Documents with more bytes of mentions fail with `too_complex`.
const MENTIONS_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Handler<Product> for BuildGraph {
    #[tracing::instrument(name = "graph.build", skip_all, fields(document.id = %self.document_id))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let Some((kb, document)) = document::current(cx, &self.document_id, self.revision).await? else {
            return Ok(());
        };
        if document.status == DocumentStatus::Failed {
            tracing::info!("the document failed before, its graph is not built");
            return Ok(());
        }
        if self.retry {
            return retry(self, cx, &kb, &document).await;
        }
        if !document::works_on(cx, &document) {
            tracing::info!("another job works on the document now, nothing to do");
            return Ok(());
        }
        if document.status.is_in_graph() {
            // An earlier run may have stopped before this.
            clear(cx.stores(), &kb, &document).await?;
            tracing::info!("the document is in the graph already, nothing to do");
            return Ok(());
        }
        // Held until the graph is written.
        let _memory = cx.compute().reserve(u64::from(document.staged_chunks) * CHUNK_BYTES).await;
        let report = |done| document::report(cx, &document, (Stage::Building, 0), done, STEPS);
        report(0);
        let Some((mentions, losses)) = mentions(self, cx, &kb, &document).await? else { return Ok(()) };
        let chunks = chunks(cx, &kb, &document).await?;
        report(1);
        let bytes = Derived::Graph(document::graph_bytes(&mentions));
        match document::count(cx, &kb, &document.id, self.revision, bytes).await {
            Ok(true) => {}
            Ok(false) => return document::forget_if_deleted(cx, &kb, &document.id).await,
            Err(error) => {
                // The extractions were stored before they were charged, so they have to go again.
                if matches!(error, JobError::Fail { .. }) {
                    let documents = cx.stores().documents();
                    documents.extractions_forget(&kb.id, &document.id, None).await?;
                }
                return Err(error);
            }
        }
        let (stores, limits, now) = (cx.stores().clone(), cx.limits().await?, cx.now());
        let replacement =
            Replacement { stores, kb: kb.clone(), document: document.clone(), chunks, mentions, losses };
        // A task of its own, so that a job that is cancelled here still tells the catalog what is in the index.
        let served = tokio::spawn(replacement.serve(limits, now).in_current_span())
            .await
            .map_err(JobError::retry)??;
        report(STEPS);
        match served {
            Served::Current => clear(cx.stores(), &kb, &document).await,
            Served::Outdated => {
                tracing::info!("a later revision is served, nothing to do");
                Ok(())
            }
            Served::Overtaken(counts) => overtaken(cx, &kb, &document, counts).await,
        }
    }

    async fn discarded(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_refused(cx, &self.document_id, self.revision, code, reason).await
    }

    async fn refused(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        document::mark_refused(cx, &self.document_id, self.revision, code, reason).await
    }
}

impl Reopen<Product> for BuildGraph {
    async fn reopen(&self, cx: &JobContext) -> Result<Reopened, JobError> {
        document::reopen(cx, &self.document_id, self.revision, DocumentStatus::Processing).await
    }
}

/// A revision that is whole and takes the place of the one that is served.
struct Replacement {
    stores: TenantStores,
    kb: Kb,
    document: Document,
    /// `None` when those in the index stay.
    chunks: Option<Vec<Chunk>>,
    mentions: Vec<Mention>,
    losses: Losses,
}

/// What became of a replacement.
enum Served {
    /// It is served, and is the newest revision.
    Current,
    /// A later revision was served already.
    Outdated,
    /// It is in the index, and meanwhile the document was deleted or uploaded again.
    Overtaken(DocumentCounts),
}

impl Replacement {
    /// Index first, then the text, then the catalog: a job that is interrupted in between does all of it again, from
    /// what is staged until the catalog knows.
    async fn serve(self, limits: Limits, now: DateTime<Utc>) -> Result<Served, JobError> {
        let Self { stores, kb, document, chunks, mentions, losses } = self;
        let revision = document.revision;
        let content = IndexContent {
            document: &document.id,
            name: &document.name,
            revision,
            chunks: chunks.as_deref(),
            mentions: &mentions,
        };
        let delta = match stores.index().document_replace(&kb, &content, &limits).await? {
            IndexChange::Done(delta) => delta,
            IndexChange::Outdated => return Ok(Served::Outdated),
            IndexChange::OverQuota(over) => return Err(too_much(&over)),
        };
        stores.documents().staged_publish(&kb.id, &document.id, revision).await?;
        let counts = DocumentCounts {
            chunks: document.staged_chunks,
            entities: delta.entities,
            relations: delta.relations,
        };
        let catalog = stores.catalog();
        if catalog.document_built(&kb.id, &document.id, revision, (counts, &losses), now).await? {
            return Ok(Served::Current);
        }
        Ok(Served::Overtaken(counts))
    }
}

/// Removes what the revision was made from, and the originals of earlier ones.
async fn clear(stores: &TenantStores, kb: &Kb, document: &Document) -> Result<(), JobError> {
    stores.documents().staged_forget(&kb.id, &document.id, Some(document.revision)).await?;
    stores.blobs().originals_forget(&kb.id, &document.id, Some(&document.sha256)).await?;
    Ok(())
}

/// All chunks of the revision; `None` when the index has them already, see [`document::chunks`].
async fn chunks(cx: &JobContext, kb: &Kb, document: &Document) -> Result<Option<Vec<Chunk>>, JobError> {
    let (documents, count) = (cx.stores().documents(), document.staged_chunks);
    let staged = documents.staged_chunks(&kb.id, &document.id, document.revision, 0..count).await?;
    if staged.len() == count as usize {
        return Ok(Some(staged));
    }
    if staged.is_empty() && document::are_indexed(document) {
        return Ok(None);
    }
    Err(JobError::fail(
        "text_missing",
        "the text that was read is gone: upload the document again, or reindex",
    ))
}

/// Has the chunks of a partial document extracted once more that gave nothing. Until they are, what is in the graph
/// stays there.
async fn retry(job: &BuildGraph, cx: &JobContext, kb: &Kb, document: &Document) -> Result<(), JobError> {
    let is_ours = document.job_id == cx.job_id();
    let begins = !is_ours && document.status == DocumentStatus::Partial;
    if !(begins || is_ours && document.status == DocumentStatus::Processing) {
        tracing::info!("no chunk of the document is to be extracted once more, nothing to do");
        return Ok(());
    }
    if begins {
        cx.keep().await?;
        let work = (cx.job_id(), document.staged_chunks);
        let catalog = cx.stores().catalog();
        if !catalog.document_processing(&kb.id, &document.id, job.revision, work, cx.now()).await? {
            return Ok(());
        }
    }
    forget_failed(cx, kb, document).await?;
    document::extraction_open_rest(cx, kb, document, 0).await
}

/// Forgets why chunks gave nothing, so that they are extracted anew.
async fn forget_failed(cx: &JobContext, kb: &Kb, document: &Document) -> Result<(), JobError> {
    let (documents, chunks) = (cx.stores().documents(), document.staged_chunks);
    for first in (0..chunks).step_by(READ_AT_ONCE as usize) {
        let orders = first..chunks.min(first + READ_AT_ONCE);
        let found = documents.extractions(&kb.id, &document.id, document.revision, orders).await?;
        let failed = found.into_iter().filter(|(_, extraction)| extraction.fault.is_some());
        let failed: Vec<u32> = failed.map(|(order, _)| order).collect();
        if !failed.is_empty() {
            documents.chunks_forget(&kb.id, &document.id, document.revision, &failed).await?;
        }
    }
    Ok(())
}

/// One mention for each entity and relation of each chunk, and what is missing. `None` when there is nothing to build:
/// the document was deleted meanwhile, or extractions are missing and jobs for them were enqueued.
async fn mentions(
    job: &BuildGraph,
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
) -> Result<Option<(Vec<Mention>, Losses)>, JobError> {
    let mut losses = Losses::default();
    let (documents, chunks) = (cx.stores().documents(), document.staged_chunks);
    let (mut mentions, mut read, mut bytes) = (Vec::new(), 0, 0);
    for first in (0..chunks).step_by(READ_AT_ONCE as usize) {
        let orders = first..chunks.min(first + READ_AT_ONCE);
        for (order, extraction) in
            documents.extractions(&kb.id, &document.id, document.revision, orders).await?
        {
            read += 1;
            note_losses(&mut losses, order, &extraction);
            bytes += add_mentions(&mut mentions, &document.id.chunk_id(order), extraction);
        }
        if bytes > MENTIONS_BYTES_MAX {
            let reason =
                "the document says more than 256 MiB of names and relations; split it into smaller files";
            return Err(JobError::unusable("too_complex", reason));
        }
    }
    if read == chunks && chunks > 0 && losses.chunks_failed == chunks {
        // A job that is started again extracts them anew.
        forget_failed(cx, kb, document).await?;
        return Err(nothing_extracted(&losses));
    }
    if read == chunks {
        return Ok(Some((mentions, losses)));
    }
    if document::current(cx, &document.id, document.revision).await?.is_some() {
        extract_rest(job, cx, kb, document).await?;
    }
    Ok(None)
}

fn note_losses(losses: &mut Losses, order: u32, extraction: &Extraction) {
    losses.records_dropped += u64::from(extraction.dropped);
    let Some(fault) = &extraction.fault else { return };
    losses.chunks_failed += 1;
    if losses.chunks.len() < Losses::LISTED {
        losses.chunks.push(FailedChunk { chunk: order, fault: fault.clone() });
    }
}

/// Of no chunk anything could be extracted: the error of the first.
fn nothing_extracted(losses: &Losses) -> JobError {
    const CODES: [&str; 9] = [
        "answer_too_large",
        "answer_unreadable",
        "chunk_too_large",
        "content_filtered",
        "endpoint_refused",
        "extraction_failed",
        "model_refused",
        "records_dropped",
        "too_complex",
    ];
    let Some(FailedChunk { fault, .. }) = losses.chunks.first() else {
        return JobError::fail("extraction_failed", "nothing could be extracted from the document");
    };
    let code = CODES.into_iter().find(|code| fault.code == *code).unwrap_or("extraction_failed");
    let reason = match losses.chunks_failed {
        1 => fault.detail.clone(),
        chunks => format!("none of its {chunks} chunks could be extracted, the first for: {}", fault.detail),
    };
    if matches!(code, "content_filtered" | "model_refused") {
        return JobError::unusable(code, reason);
    }
    JobError::fail(code, reason)
}

/// Some chunks have no result, although all jobs that were to extract from them have ended: one was lost, or was
/// changed and therefore never ran. This job takes the document over and opens a group for the rest.
async fn extract_rest(
    job: &BuildGraph,
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
) -> Result<(), JobError> {
    if document.job_id != cx.job_id() {
        if job.again >= EXTRACTED_AGAIN {
            let reason = format!(
                "some chunks have no result although they were given to jobs {} times: reindex",
                EXTRACTED_AGAIN + 1
            );
            return Err(JobError::fail("extractions_missing", reason));
        }
        // Before the document says so: what it waits for has to be known to the catalog.
        cx.keep().await?;
        let work = (cx.job_id(), document.staged_chunks);
        let catalog = cx.stores().catalog();
        if !catalog.document_processing(&kb.id, &document.id, document.revision, work, cx.now()).await? {
            return Ok(());
        }
    }
    tracing::warn!("some chunks were not extracted, they are given to new jobs");
    document::extraction_open_rest(cx, kb, document, job.again + 1).await
}

/// Called when the document was uploaded again, deleted or cancelled while this revision was put into the index.
async fn overtaken(
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
    counts: DocumentCounts,
) -> Result<(), JobError> {
    let catalog = cx.stores().catalog();
    let Some(newer) = catalog.document(&kb.id, &document.id).await? else {
        return document::forget_if_deleted(cx, kb, &document.id).await;
    };
    // A deletion raises the revision once, and the upload after it once more.
    let was_deleted = newer.created_at != document.created_at
        || (newer.served.is_none() && newer.revision > document.revision + 1);
    let was_cancelled = newer.status == DocumentStatus::Failed && newer.served.is_none();
    if was_deleted || was_cancelled {
        // What was just written is of a document that is gone, or that was never to be served.
        document::forget(cx, kb, &document.id).await?;
        return if was_deleted { document::read_again(cx, kb, &document.id).await } else { Ok(()) };
    }
    // This revision is served until the later one is whole.
    let original = Some((document.sha256.clone(), document.size_bytes));
    let served = model::Served { revision: document.revision, original, counts };
    Ok(catalog.document_served(&kb.id, &document.id, &served).await?)
}

fn too_much(over: &OverQuota) -> JobError {
    let OverQuota { quota, current, maximum } = over;
    let code =
        if *quota == Quota::EntitiesPerKb { "entities_limit_reached" } else { "relations_limit_reached" };
    let reason = format!(
        "the knowledge base has {current} of {maximum} {} and the document adds more: \
         delete documents or ask the operator for more, and then reindex",
        quota.unit()
    );
    JobError::unusable(code, reason)
}

/// Adds the mentions of a chunk. Returns their size in bytes.
fn add_mentions(mentions: &mut Vec<Mention>, chunk_id: &str, extraction: Extraction) -> usize {
    let Extraction { entities, relations, .. } = extraction;
    let entities = entities.into_iter().map(|entity| {
        let kind = MentionKind::Entity { name: entity.name, entity_type: entity.kind };
        Mention { kind, chunk_id: chunk_id.to_owned(), description: entity.description }
    });
    let relations = relations.into_iter().map(|relation| {
        let ExtractedRelation { source, target, keywords, weight, description } = relation;
        let (source, target) = sorted(source, target);
        let kind = MentionKind::Relation { source, target, keywords, weight };
        Mention { kind, chunk_id: chunk_id.to_owned(), description }
    });
    let before = mentions.len();
    mentions.extend(entities.chain(relations));
    mentions[before..].iter().map(|mention| MENTION_BYTES + mention.description.len()).sum()
}

fn sorted(one: String, other: String) -> (String, String) {
    if one <= other { (one, other) } else { (other, one) }
}
