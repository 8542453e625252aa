//! `kb.reindex`: one ingest job for each document of a knowledge base.

use jobs::JobError;
use jobs::types::{IngestDocument, ReindexKb};
use stores::model::{Document, DocumentStatus};
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
            let name = document.id.as_str();
            let is_ours = document.job_id == cx.child_called::<IngestDocument>(name);
            // Its job has not begun and reads it as it is then; an earlier attempt of this job may have enqueued it.
            if document.status == DocumentStatus::Pending && !is_ours {
                continue;
            }
            let job = cx.enqueue_kept_as(name, document.batch, &ingest(document))?;
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
