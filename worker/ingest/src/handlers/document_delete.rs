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
        document::delete(cx, &kb, &self.document_id, self.revision).await
    }
}

/// A rerun continues where deletion stopped; a document that is gone or was uploaded again stays as it is.
impl Reopen<Product> for DeleteDocument {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}
