use stores::model::Growth;

use super::submission::Proposal;
use crate::extract::{CreateDocuments, KbCaller};
use crate::problem::Problem;
use crate::server::ApiState;

/// Refuses documents that the tenant has no room for before their originals are stored, so that a tenant which
/// is full cannot fill the blob store. Requests that pass this together are told apart when they are accepted.
///
/// # Errors
/// When a quota is used up, or the catalog is away.
pub(super) async fn ensure_quota(
    app: &ApiState,
    who: &KbCaller<CreateDocuments>,
    proposal: &Proposal,
    growth: Growth,
) -> Result<(), Problem> {
    let now = app.clock().now();
    let usage = who.caller.stores.catalog().usage(now).await?;
    let documents = growth.refused(&proposal.limits, &usage);
    match documents.or_else(|| usage.jobs_refused(&proposal.limits, proposal.jobs.len())) {
        Some(over) => Err(Problem::over_quota(&over, now)),
        None => Ok(()),
    }
}
