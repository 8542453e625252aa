//! `kb.delete`: removes a closed knowledge base from every store, its catalog row last so that a retry finds it.

use jobs::JobError;
use jobs::types::DeleteKb;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use super::tenant_deprovision::empty_kb;
use crate::registry::Product;

impl Handler<Product> for DeleteKb {
    #[tracing::instrument(name = "kb.delete", skip_all)]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let lifecycle = cx.stores().lifecycle();
        let Some(kb) = lifecycle.kb_closed(cx.kb_id()?).await? else {
            tracing::info!("the knowledge base is gone or in use, nothing to do");
            return Ok(());
        };
        empty_kb(cx.stores(), &kb).await?;
        lifecycle.kb_delete(&kb.id, cx.now()).await?;
        Ok(())
    }
}

/// A rerun continues where deletion stopped.
impl Reopen<Product> for DeleteKb {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}
