use std::time::Duration;

use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::error::report;
use stores::TenantStores;

use crate::server::ApiState;

/// How long an answer waits for the queue. What is not delivered by then goes on in the background, and what
/// is not delivered at all stays in the outbox.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hands accepted jobs to the queue and takes them out of the outbox. Never fails: they are accepted already.
pub(super) async fn deliver(app: &ApiState, stores: &TenantStores, jobs: Vec<StampedJob>) {
    let (app, stores) = (app.clone(), stores.clone());
    // A task of its own: a client that hangs up shall not stop the delivery halfway.
    let delivery = tokio::spawn(async move { push(&app, &stores, &jobs).await });
    if tokio::time::timeout(PATIENCE, delivery).await.is_err() {
        tracing::warn!("the queue is slow: answering before it has the job");
    }
}

async fn push(app: &ApiState, stores: &TenantStores, jobs: &[StampedJob]) {
    let ids: Vec<JobId> = jobs.iter().map(StampedJob::id).collect();
    if let Err(error) = app.queue().push_accepted(jobs).await {
        tracing::warn!(
            jobs = ids.len(),
            error = report(&error),
            "the queue is away: the outbox keeps the jobs"
        );
        return;
    }
    if let Err(error) = stores.catalog().outbox_delete(&ids).await {
        tracing::warn!(
            error = report(&error),
            "delivered jobs stay in the outbox: the relay will find them known"
        );
    }
}
