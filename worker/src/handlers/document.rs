//! What every handler of a document asks first: is there still something to do?

use jobs::{DocumentId, JobError};
use stores::model::{Document, DocumentFault, Kb};

use crate::context::JobContext;

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
            Ok(None)
        }
    }
}

/// Marks the document as failed, so that whoever uploaded it sees why.
pub(super) async fn mark_failed(
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
