//! Calling work off, so that the documents say so: a job that is cancelled while it waits never reaches a worker.

use std::collections::HashSet;

use jobs::queue::{CancelReport, Cancelled, Inspected};
use jobs::tenant::{KbId, TenantId};
use jobs::types::{BuildGraph, ExtractEntities};
use jobs::{DocumentId, Job as _, JobId};
use stores::TenantStores;
use stores::model::{DocumentFault, JobMark};

use crate::problem::Problem;
use crate::server::ApiState;

/// How many jobs are called off in one step.
const STEP: usize = 200;

/// The work of one tenant, to be called off.
#[derive(Clone)]
pub(crate) struct CallOff {
    pub(crate) app: ApiState,
    pub(crate) stores: TenantStores,
    pub(crate) tenant: TenantId,
}

impl CallOff {
    /// Cancels jobs; the answer says what became of each, in order. Goes on when the client hangs up.
    ///
    /// # Errors
    /// When queue or catalog fail. Some may be cancelled then.
    pub(crate) async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Cancelled>, Problem> {
        let work = self.clone();
        spawned(async move {
            let mut done = Vec::with_capacity(ids.len());
            for ids in ids.chunks(STEP) {
                done.extend(work.step(ids).await?);
            }
            Ok(done)
        })
        .await
    }

    async fn step(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Problem> {
        // Before: a job that is cancelled leaves nothing behind.
        let said = self.app.queue().inspect(&self.tenant, ids).await?;
        // First where it cannot get lost: a job that comes up again is known to be cancelled then.
        let there: Vec<JobId> =
            ids.iter().zip(&said).filter(|(_, said)| said.is_some()).map(|(id, _)| *id).collect();
        self.mark(&there).await?;
        let done = self.app.queue().cancel_ids(&self.tenant, ids).await?;
        // Dead letters may be started again.
        let kept = ids.iter().zip(&done).filter(|(_, done)| **done == Cancelled::Kept).map(|(id, _)| *id);
        let kept: Vec<JobId> = kept.collect();
        if !kept.is_empty() {
            self.stores.catalog().jobs_unmark(&kept).await?;
        }
        let gone = |at: &usize| done[*at] == Cancelled::Now;
        let at: Vec<usize> = (0..done.len()).filter(gone).collect();
        self.documents_of(&at.iter().map(|&at| ids[at]).collect::<Vec<_>>()).await?;
        self.documents_on_their_way(at.iter().filter_map(|&at| said[at].as_ref())).await?;
        Ok(done)
    }

    async fn mark(&self, jobs: &[JobId]) -> Result<(), Problem> {
        if jobs.is_empty() {
            return Ok(());
        }
        let now = self.app.clock().now();
        self.stores.catalog().jobs_mark(jobs, JobMark::Cancelled, now).await?;
        Ok(())
    }

    /// A job that was accepted and that the queue does not have yet. `false` when there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub(crate) async fn undelivered(&self, id: JobId) -> Result<bool, Problem> {
        if self.stores.catalog().outbox_job(id).await?.is_none() {
            return Ok(false);
        }
        let work = self.clone();
        spawned(async move {
            work.mark(&[id]).await?;
            work.stores.catalog().outbox_delete(&[id]).await?;
            // It may have been delivered while we looked.
            if let Err(error) = work.app.queue().cancel(&work.tenant, id).await {
                tracing::info!(error = jobs::error::report(&error), "the queue was not asked about a job");
            }
            work.documents_of(&[id]).await
        })
        .await?;
        Ok(true)
    }

    /// Calls off everything: what is not delivered yet, what waits, and what runs.
    ///
    /// # Errors
    /// When queue or catalog fail. Call it again then.
    pub(crate) async fn everything(&self) -> Result<CancelReport, Problem> {
        let work = self.clone();
        spawned(async move {
            let now = work.app.clock().now();
            let undelivered = work.stores.catalog().cancel_everything(&fault(), now).await?;
            let mut report = work.app.queue().cancel_tenant(&work.tenant).await?;
            report.cancelled += undelivered;
            Ok(report)
        })
        .await
    }

    /// Documents that one of `jobs` was to ingest.
    async fn documents_of(&self, jobs: &[JobId]) -> Result<(), Problem> {
        if !jobs.is_empty() {
            self.stores.catalog().documents_failed(jobs, &fault(), self.app.clock().now()).await?;
        }
        Ok(())
    }

    /// Documents that were ingested and for which a later step will not come.
    async fn documents_on_their_way(&self, said: impl Iterator<Item = &Inspected>) -> Result<(), Problem> {
        let documents: HashSet<_> = said.filter_map(document).collect();
        for (kb, id, revision) in documents {
            let now = self.app.clock().now();
            self.stores.catalog().document_failed(&kb, &id, revision, &fault(), now).await?;
        }
        Ok(())
    }
}

fn document(said: &Inspected) -> Option<(KbId, DocumentId, u64)> {
    let (kb, envelope) = (said.kb.clone()?, &said.envelope);
    match envelope.kind.as_str() {
        ExtractEntities::TYPE => {
            let job: ExtractEntities = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision))
        }
        BuildGraph::TYPE => {
            let job: BuildGraph = envelope.payload().ok()?;
            Some((kb, job.document_id, job.revision))
        }
        _ => None,
    }
}

fn fault() -> DocumentFault {
    let detail = "its job was cancelled; upload the document again, or reindex, to try again";
    DocumentFault { code: "cancelled".to_owned(), detail: detail.to_owned() }
}

/// A task of its own: a client that hangs up must not leave jobs cancelled and their documents waiting.
async fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}
