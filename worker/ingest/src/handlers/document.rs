//! What the handlers of documents share: is the revision current, failure, accounting, extraction jobs and cleanup.

use std::collections::HashSet;

use jobs::types::{BuildGraph, ExtractEntities, IngestDocument};
use jobs::{DocumentId, JobError};
use stores::model::{
    Chunk, Derived, Document, DocumentFault, DocumentStatus, Kb, Mention, MentionKind, OverQuota, Stage,
    StageReport,
};
use worker::context::JobContext;
use worker::handler::Reopened;

/// Bytes charged for a row besides its texts: ids, numbers, index entries.
const ROW_BYTES: usize = 100;
/// Chunks per extraction job at least: enough that its overhead does not matter, few enough that a retry repeats
/// little.
const CHUNKS_PER_JOB: u32 = 8;
/// Extraction jobs per document at most, because a finish enqueues a bounded number of children.
const EXTRACTION_JOBS: u32 = 400;

/// Chunks whose extractions are read at once.
pub(super) const READ_AT_ONCE: u32 = 32;

/// The document at `revision` and its knowledge base; `None` when either is gone, or when a later upload replaced
/// the revision, whose own job then does the work.
pub(super) async fn current(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
) -> Result<Option<(Kb, Document)>, JobError> {
    let catalog = cx.stores().catalog();
    let Some(kb) = catalog.kb(cx.kb_id()?).await? else {
        tracing::warn!("knowledge base is gone, nothing to do");
        return Ok(None);
    };
    match catalog.document(&kb.id, id).await? {
        Some(document) if document.revision == revision => Ok(Some((kb, document))),
        Some(_) => {
            tracing::info!(document.id = %id, "a later upload replaced this revision, nothing to do");
            Ok(None)
        }
        None => {
            tracing::warn!(document.id = %id, "document is gone, nothing to do");
            // An earlier attempt may have died while it was writing.
            forget(cx, &kb, id).await?;
            read_again(cx, &kb, id).await?;
            Ok(None)
        }
    }
}

/// Reports how far a step of the document is; `part` tells apart what several jobs work on.
pub(super) fn report(
    cx: &JobContext,
    document: &Document,
    (stage, part): (Stage, u32),
    done: u64,
    total: u64,
) {
    let (id, revision, batch) = (document.id.clone(), document.revision, document.batch);
    cx.stage(done, total, StageReport { document: id, revision, batch, stage, part });
}

/// Whether this job belongs to the run that works on the document now. If not, that run failed and another job
/// continued it, or the document is being read again.
pub(super) fn works_on(cx: &JobContext, document: &Document) -> bool {
    document.job_id == cx.job_id() || cx.parent() == Some(document.job_id)
}

/// Reruns a job of the document: if the document failed, this job continues the work. Of several jobs that are
/// started again together, one does.
pub(super) async fn reopen(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    status: DocumentStatus,
) -> Result<Reopened, JobError> {
    let Some((kb, _)) = current(cx, id, revision).await? else {
        return Ok(Reopened::Nothing("the document was deleted or uploaded again"));
    };
    let work = (cx.job_id(), status);
    if cx.stores().catalog().document_reopen(&kb.id, id, revision, work, cx.now()).await? {
        return Ok(Reopened::Run);
    }
    Ok(Reopened::Nothing("the document did not fail, or another job continues with it"))
}

/// Marks the document as failed with the reason, unless another job works on it now or it is in the graph already.
pub(super) async fn mark_failed(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let catalog = cx.stores().catalog();
    let found = catalog.document(cx.kb_id()?, id).await?;
    // The continuation of its group may have begun to replace what this job could not do.
    let replaced_by = cx.parent().map(|parent| parent.continuation());
    let is_ours = |document: &Document| works_on(cx, document) || replaced_by == Some(document.job_id);
    let document = found.filter(|document| document.revision == revision && is_ours(document));
    if document.is_none() {
        tracing::info!(document.id = %id, "another job works on the document now, its status stays");
        return Ok(());
    }
    fail(cx, id, revision, code, reason).await
}

/// Marks the document as failed, whatever its status.
pub(super) async fn fail(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let fault = DocumentFault { code: code.to_owned(), detail: reason.to_owned() };
    let (catalog, index) = (cx.stores().catalog(), cx.stores().index());
    catalog.document_failed(cx.kb_id()?, id, revision, &fault, cx.now()).await?;
    // The job may have put its revision into the index, and stopped before the catalog knew.
    let Some(kb) = catalog.kb(cx.kb_id()?).await? else { return Ok(()) };
    if let Some(served) = index.document_served(&kb, id).await? {
        catalog.document_served(&kb.id, id, &served).await?;
    }
    Ok(())
}

/// Whether the index has no other revision of the document than the one that is being made.
pub(super) fn are_indexed(document: &Document) -> bool {
    document.served.is_none_or(|served| served == document.revision)
}

/// The chunks `orders` of the revision that is being made. Those of a revision that is served, of which some chunks are
/// extracted once more, are in the index; so are those of work that began before an upgrade.
pub(super) async fn chunks(
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
    orders: std::ops::Range<u32>,
) -> Result<Vec<Chunk>, JobError> {
    let staged = cx.stores().documents();
    let staged = staged.staged_chunks(&kb.id, &document.id, document.revision, orders.clone()).await?;
    if staged.is_empty() && are_indexed(document) {
        return Ok(cx.stores().index().chunks(kb, &document.id, orders).await?);
    }
    Ok(staged)
}

/// Marks the document as failed because a job that it needs was refused; a document that is in the graph needs no
/// more jobs.
pub(super) async fn mark_refused(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let found = cx.stores().catalog().document(cx.kb_id()?, id).await?;
    let is_done = |document: Document| document.status.is_in_graph();
    if found.is_some_and(is_done) { Ok(()) } else { mark_failed(cx, id, revision, code, reason).await }
}

/// Charges the bytes that are about to be stored for a document to the tenant. Returns whether `revision` is still
/// the document's.
///
/// # Errors
/// When the tenant would exceed its storage quota: then nothing may be stored.
pub(super) async fn count(
    cx: &JobContext,
    kb: &Kb,
    id: &DocumentId,
    revision: u64,
    derived: Derived,
) -> Result<bool, JobError> {
    let limits = cx.limits().await?;
    let counted = cx.stores().catalog().document_derived_put(&kb.id, id, revision, derived, &limits).await?;
    counted.map_err(|OverQuota { current, maximum, .. }| {
        let (Derived::Text(bytes) | Derived::Graph(bytes)) = derived;
        let reason = format!(
            "the tenant stores {current} of {maximum} bytes (storage_bytes), and what is made of the document takes \
             {bytes} more: delete documents or ask the operator for more, and then reindex"
        );
        JobError::fail("storage_limit_reached", reason)
    })
}

/// Bytes charged for a document's text and chunks.
pub(super) fn text_bytes(text: &str, chunks: &[Chunk]) -> u64 {
    let chunks = chunks.iter().map(|chunk| chunk.content.len() + ROW_BYTES);
    wide(text.len() + chunks.sum::<usize>())
}

/// Bytes charged for a document's extractions and its part of the graph: once as extracted, once in the mention
/// log, and once in the entities and relations that they are merged into.
pub(super) fn graph_bytes(mentions: &[Mention]) -> u64 {
    let of = |mention: &Mention| {
        let names = match &mention.kind {
            MentionKind::Entity { name, entity_type } => name.len() + entity_type.len(),
            MentionKind::Relation { source, target, keywords, .. } => {
                source.len() + target.len() + keywords.iter().map(String::len).sum::<usize>()
            }
        };
        names + mention.description.len() + ROW_BYTES
    };
    wide(3 * mentions.iter().map(of).sum::<usize>())
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Opens the group of jobs that extract from all chunks of a document; when the last of them has ended, the graph is
/// built.
pub(super) fn extraction_open(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    chunks: u32,
) -> Result<(), JobError> {
    extraction_open_where(cx, (id, revision, chunks), 0, |_| true)
}

/// Opens the group for the chunks of a document that have no result yet, for the time number `again`. A job that was
/// started again, or that was given back to a queue which had lost it, continues the interrupted work this way.
pub(super) async fn extraction_open_rest(
    cx: &JobContext,
    kb: &Kb,
    document: &Document,
    again: u32,
) -> Result<(), JobError> {
    let (documents, chunks) = (cx.stores().documents(), document.staged_chunks);
    let mut done = HashSet::new();
    for first in (0..chunks).step_by(READ_AT_ONCE as usize) {
        let orders = first..chunks.min(first + READ_AT_ONCE);
        let found = documents.extractions(&kb.id, &document.id, document.revision, orders).await?;
        done.extend(found.into_iter().map(|(order, _)| order));
    }
    let of = (&document.id, document.revision, document.staged_chunks);
    extraction_open_where(cx, of, again, |job| {
        (job.first..job.first + job.count).any(|order| !done.contains(&order))
    })
}

/// Opens the group; each extraction job takes a range of chunks, and is called by it: a range that is extracted once
/// more is the same job.
fn extraction_open_where(
    cx: &JobContext,
    (id, revision, chunks): (&DocumentId, u64, u32),
    again: u32,
    wanted: impl Fn(&ExtractEntities) -> bool,
) -> Result<(), JobError> {
    let per_job = chunks.div_ceil(EXTRACTION_JOBS).max(CHUNKS_PER_JOB);
    let extract = |first: u32| {
        let count = (chunks - first).min(per_job);
        ExtractEntities { document_id: id.clone(), revision, first, count }
    };
    let ranges: Vec<_> = (0..chunks).step_by(per_job as usize).map(extract).collect();
    let members = ranges.iter().enumerate().filter(|(_, range)| wanted(range));
    cx.open_group_of(members, &BuildGraph { again, ..BuildGraph::of(id.clone(), revision) })
}

/// Removes revision `revision` of a document from every store, its catalog row last so that a retry finds it. Does
/// nothing when the document is gone or was uploaded again.
pub(super) async fn delete(cx: &JobContext, kb: &Kb, id: &DocumentId, revision: u64) -> Result<(), JobError> {
    let (lifecycle, blobs) = (cx.stores().lifecycle(), cx.stores().blobs());
    // Listed before the deletion begins: an upload that is accepted afterwards stores its original once more.
    let originals = blobs.originals(&kb.id, id).await?;
    let begun = lifecycle.document_deletion_begin(&kb.id, id, revision, cx.now()).await?;
    let Some(revision) = begun else {
        tracing::info!(document.id = %id, "the document is gone, or was uploaded again: nothing to do");
        return Ok(());
    };
    forget(cx, kb, id).await?;
    blobs.originals_delete(&kb.id, id, &originals).await?;
    if !lifecycle.document_delete(&kb.id, id, revision).await? {
        read_again(cx, kb, id).await?;
    }
    Ok(())
}

/// Removes everything stored for a document but its originals and its catalog row.
pub(super) async fn forget(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    let (documents, index) = (cx.stores().documents(), cx.stores().index());
    index.graph_replace(kb, id, "", &[]).await?;
    index.chunks_replace(kb, id, "", &[]).await?;
    documents.extractions_forget(&kb.id, id, None).await?;
    documents.staged_forget(&kb.id, id, None).await?;
    documents.parsed_forget(&kb.id, id).await?;
    Ok(())
}

/// To be called after writing: if the document was deleted meanwhile, its deletion missed what was just written, so
/// this removes it.
pub(super) async fn forget_if_deleted(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    if cx.stores().catalog().document(&kb.id, id).await?.is_some() {
        return Ok(());
    }
    tracing::info!(document.id = %id, "the document was deleted meanwhile, nothing of it is kept");
    forget(cx, kb, id).await?;
    read_again(cx, kb, id).await
}

/// To be called after [`forget`]: a document that was uploaded again meanwhile may have lost new data to it, so it
/// is ingested once more.
pub(super) async fn read_again(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    if let Some(document) = cx.stores().catalog().document(&kb.id, id).await? {
        let again = IngestDocument { document_id: document.id, revision: document.revision };
        cx.enqueue_kept_of(document.batch, &again)?;
    }
    Ok(())
}
