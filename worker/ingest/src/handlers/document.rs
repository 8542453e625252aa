//! What every handler of a document asks first: is there still something to do?

use jobs::types::IngestDocument;
use jobs::{DocumentId, JobError};
use stores::model::{
    Chunk, Derived, Document, DocumentFault, DocumentStatus, Kb, Mention, MentionKind, OverQuota,
};
use worker::context::JobContext;
use worker::handler::Reopened;

/// What a row takes beside its texts: ids, numbers, its place in indexes.
const ROW_BYTES: usize = 100;

/// The document at `revision` and its knowledge base; `None` when either is gone or a later upload replaced
/// the revision, in which case whoever came later does the work.
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

/// Whether this job is, or was left behind by, the one that works on the document now. If not, that one was ended by a
/// failure and continued by another, or the document is read once more.
pub(super) fn works_on(cx: &JobContext, document: &Document) -> bool {
    document.job_id == cx.job_id() || cx.parent() == Some(document.job_id)
}

/// What starting a job of the document again means: if the document failed, this job continues the work. Of several
/// that are started again together, one does.
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

/// Marks the document as failed, so that its status says why, unless another job works on it now, or it is in the graph
/// already.
pub(super) async fn mark_failed(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let catalog = cx.stores().catalog();
    let found = catalog.document(cx.kb_id()?, id).await?;
    let document = found.filter(|document| document.revision == revision && works_on(cx, document));
    if document.is_none() {
        tracing::info!(document.id = %id, "another job works on the document now, its status stays");
        return Ok(());
    }
    fail(cx, id, revision, code, reason).await
}

/// Marks the document as failed, whatever it was.
pub(super) async fn fail(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let fault = DocumentFault { code: code.to_owned(), detail: reason.to_owned() };
    cx.stores().catalog().document_failed(cx.kb_id()?, id, revision, &fault, cx.now()).await?;
    Ok(())
}

/// Marks the document as failed because a job that it needs was refused; one that is in the graph needs none.
pub(super) async fn mark_refused(
    cx: &JobContext,
    id: &DocumentId,
    revision: u64,
    code: &str,
    reason: &str,
) -> Result<(), JobError> {
    let found = cx.stores().catalog().document(cx.kb_id()?, id).await?;
    let is_done = |document: Document| document.status == DocumentStatus::Processed;
    if found.is_some_and(is_done) { Ok(()) } else { mark_failed(cx, id, revision, code, reason).await }
}

/// Counts what is about to be stored of a document. Returns whether `revision` is still the document's.
///
/// # Errors
/// When that is more than the tenant may store: nothing of it may be stored then.
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

/// The size of a document's text and chunks.
pub(super) fn text_bytes(text: &str, chunks: &[Chunk]) -> u64 {
    let chunks = chunks.iter().map(|chunk| chunk.content.len() + ROW_BYTES);
    wide(text.len() + chunks.sum::<usize>())
}

/// The size of what was extracted from a document, and of its part of the graph: once as it was found, once in the log
/// of mentions, and once in the entities and relations that they are merged into.
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

/// Removes what is known of a document beside its originals and its row in the catalog.
pub(super) async fn forget(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    let (documents, index) = (cx.stores().documents(), cx.stores().index());
    index.graph_replace(kb, id, "", &[]).await?;
    index.chunks_replace(kb, id, "", &[]).await?;
    documents.extractions_forget(&kb.id, id, None).await?;
    documents.parsed_forget(&kb.id, id).await?;
    Ok(())
}

/// Asks, after something was written for a document, whether it was deleted meanwhile, and takes back what was
/// written then.
pub(super) async fn forget_if_deleted(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    if cx.stores().catalog().document(&kb.id, id).await?.is_some() {
        return Ok(());
    }
    tracing::info!(document.id = %id, "the document was deleted meanwhile, nothing of it is kept");
    forget(cx, kb, id).await?;
    read_again(cx, kb, id).await
}

/// A document that was uploaded again while what it was before was being forgotten may have been forgotten with
/// it: it is read once more.
pub(super) async fn read_again(cx: &JobContext, kb: &Kb, id: &DocumentId) -> Result<(), JobError> {
    if let Some(document) = cx.stores().catalog().document(&kb.id, id).await? {
        cx.enqueue(&IngestDocument { document_id: document.id, revision: document.revision })?;
    }
    Ok(())
}
