//! `document.delete`: removes a document from every store, its catalog row last so that a retry finds it.

use jobs::JobError;
use jobs::types::DeleteDocument;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use crate::registry::Product;

impl Handler<Product> for DeleteDocument {
    #[tracing::instrument(name = "document.delete", skip_all, fields(document.id = %self.document_id))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let Some(kb) = cx.stores().catalog().kb(cx.kb_id()?).await? else {
            tracing::info!("knowledge base is gone, nothing to do");
            return Ok(());
        };
        let (id, lifecycle, blobs) = (&self.document_id, cx.stores().lifecycle(), cx.stores().blobs());
        // Listed before the deletion begins: an upload that is accepted afterwards stores its original once more.
        let originals = blobs.originals(&kb.id, id).await?;
        let begun = lifecycle.document_deletion_begin(&kb.id, id, self.revision, cx.now()).await?;
        let Some(revision) = begun else {
            tracing::info!("the document is gone, or was uploaded again: nothing to do");
            return Ok(());
        };
        document::forget(cx, &kb, id).await?;
        blobs.originals_delete(&kb.id, id, &originals).await?;
        if !lifecycle.document_delete(&kb.id, id, revision).await? {
            document::read_again(cx, &kb, id).await?;
        }
        Ok(())
    }
}

/// A rerun continues where deletion stopped; a document that is gone or was uploaded again stays as it is.
impl Reopen<Product> for DeleteDocument {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}
