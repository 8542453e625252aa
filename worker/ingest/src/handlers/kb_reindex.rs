//! `kb.reindex`: one ingest job for each document of a knowledge base.

use jobs::JobError;
use jobs::types::{IngestDocument, ReindexKb};
use stores::model::Document;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use crate::registry::Product;

/// Documents per job: a finish enqueues a bounded number of children.
const DOCUMENTS_PER_JOB: u32 = 200;

impl Handler<Product> for ReindexKb {
    #[tracing::instrument(name = "kb.reindex", skip_all)]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let catalog = cx.stores().catalog();
        let Some(kb) = catalog.kb(cx.kb_id()?).await? else {
            tracing::warn!("knowledge base is gone, nothing to do");
            return Ok(());
        };
        let page = catalog.documents(&kb.id, None, self.after.as_ref(), DOCUMENTS_PER_JOB).await?;
        for document in &page.items {
            let job = cx.enqueue_kept_of(document.batch, &ingest(document))?;
            catalog.document_pending(&kb.id, &document.id, document.revision, job, cx.now()).await?;
        }
        if let (Some(_), Some(last)) = (page.next, page.items.last()) {
            cx.enqueue_kept(&Self { after: Some(last.id.clone()) })?;
        }
        Ok(())
    }
}

/// A rerun reads its page of documents again, and the pages behind it.
impl Reopen<Product> for ReindexKb {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}

fn ingest(document: &Document) -> IngestDocument {
    IngestDocument { document_id: document.id.clone(), revision: document.revision }
}
