//! Starting dead letters again. What that means for what they are about, the worker's job types say when they run.

use jobs::JobId;
use jobs::queue::Redriven;
use jobs::tenant::TenantId;
use stores::TenantStores;
use stores::model::JobMark;

use crate::problem::Problem;
use crate::server::ApiState;

/// How many jobs are started in one step.
const STEP: usize = 200;

/// Dead letters or quarantined jobs of one tenant.
pub(crate) struct Redrive {
    pub(crate) app: ApiState,
    pub(crate) stores: TenantStores,
    pub(crate) tenant: TenantId,
    /// Who starts them.
    pub(crate) by: String,
}

impl Redrive {
    /// Starts jobs again; the answer says what became of each, in order.
    ///
    /// # Errors
    /// When queue or catalog fail. Some run again then.
    pub(crate) async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Redriven>, Problem> {
        let mut done = Vec::with_capacity(ids.len());
        for ids in ids.chunks(STEP) {
            self.allow(ids).await?;
            let said = self.app.queue().redrive_ids(&self.tenant, ids).await?;
            let started = ids.iter().zip(&said).filter(|(_, said)| **said == Redriven::Started);
            let started: Vec<JobId> = started.map(|(id, _)| *id).collect();
            if !started.is_empty() {
                let now = self.app.clock().now();
                self.stores.catalog().job_redriven(&started, &self.by, now).await?;
            }
            done.extend(said);
        }
        Ok(done)
    }

    /// Lets jobs run although the tenant's work was cancelled after they were made.
    async fn allow(&self, ids: &[JobId]) -> Result<(), Problem> {
        let said = self.app.queue().inspect(&self.tenant, ids).await?;
        let there: Vec<JobId> = ids.iter().zip(said).filter_map(|(id, said)| said.map(|_| *id)).collect();
        if !there.is_empty() {
            let now = self.app.clock().now();
            self.stores.catalog().jobs_mark(&there, JobMark::Redriven, now).await?;
        }
        Ok(())
    }
}
