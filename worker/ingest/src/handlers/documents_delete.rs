//! `documents.delete`: removes the documents on a list, one after the other, and takes each off the list.

use jobs::JobError;
use jobs::types::DeleteDocuments;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::document;
use crate::registry::Product;

/// Documents per job: few enough to be done within its time, also where each is large.
const DOCUMENTS_PER_JOB: u32 = 100;

impl Handler<Product> for DeleteDocuments {
    #[tracing::instrument(name = "documents.delete", skip_all, fields(list = %self.list))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let catalog = cx.stores().catalog();
        let Some(kb) = catalog.kb(cx.kb_id()?).await? else {
            tracing::info!("knowledge base is gone, nothing to do");
            return Ok(());
        };
        let mut listed = catalog.deletion_list(&kb.id, self.list, DOCUMENTS_PER_JOB + 1).await?;
        let more = listed.len() > DOCUMENTS_PER_JOB as usize;
        listed.truncate(DOCUMENTS_PER_JOB as usize);
        for (number, (id, revision)) in (1..).zip(&listed) {
            document::delete(cx, &kb, id, *revision).await?;
            catalog.deletion_list_done(self.list, id).await?;
            cx.progress(number, listed.len() as u64, "deleting documents");
        }
        if more {
            cx.enqueue_kept(self)?;
        }
        Ok(())
    }
}

/// A rerun goes on with what is left on the list.
impl Reopen<Product> for DeleteDocuments {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}
