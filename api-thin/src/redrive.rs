//! Starting dead letters again, so that their documents are on their way again.

use jobs::queue::{Inspected, Redriven};
use jobs::tenant::TenantId;
use jobs::types::{BuildGraph, IngestDocument};
use jobs::{Job as _, JobId};
use stores::TenantStores;

use crate::problem::Problem;
use crate::server::ApiState;

/// How many jobs are started in one step.
const STEP: usize = 200;

/// Dead letters or quarantined jobs of one tenant.
pub(crate) struct Redrive {
    pub(crate) app: ApiState,
    pub(crate) stores: TenantStores,
    pub(crate) tenant: TenantId,
}

impl Redrive {
    /// Starts jobs again; the answer says what became of each, in order.
    ///
    /// # Errors
    /// When queue or catalog fail. Some run again then.
    pub(crate) async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Redriven>, Problem> {
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(STEP) {
            let said = self.app.queue().inspect(&self.tenant, ids).await?;
            for (id, said) in ids.iter().zip(&said) {
                // Before it runs: a graph is not built for a document that has failed.
                if let Some(said) = said {
                    self.reopen(*id, said).await?;
                }
            }
            done.extend(self.app.queue().redrive_ids(&self.tenant, ids).await?);
        }
        Ok(done)
    }

    async fn reopen(&self, id: JobId, said: &Inspected) -> Result<(), Problem> {
        let (Some(kb), envelope) = (&said.kb, &said.envelope) else { return Ok(()) };
        let (catalog, now) = (self.stores.catalog(), self.app.clock().now());
        match envelope.kind.as_str() {
            IngestDocument::TYPE => {
                let Ok(job) = envelope.payload::<IngestDocument>() else { return Ok(()) };
                catalog.document_pending(kb, &job.document_id, job.revision, id, now).await?;
            }
            BuildGraph::TYPE => {
                let Ok(job) = envelope.payload::<BuildGraph>() else { return Ok(()) };
                let Some(document) = catalog.document(kb, &job.document_id).await? else { return Ok(()) };
                let chunks = document.counts.chunks;
                catalog.document_processing(kb, &job.document_id, job.revision, chunks, now).await?;
            }
            _ => {}
        }
        Ok(())
    }
}
