use jobs::JobId;
use jobs::types::ReindexKb;

use super::answer::{Answer, job_location};
use super::fingerprint::Fingerprint;
use super::kb::KbJob;
use super::room::ensure_room;
use super::submission::{Proposal, Submission};
use crate::extract::{IdempotencyKey, KbCaller, UpdateDocuments};
use crate::problem::Problem;
use crate::server::ApiState;

/// Enqueues one `kb.reindex`.
///
/// # Errors
/// When the tenant may not have more work in the queue, the idempotency key stands for another request, or a store
/// is away.
pub async fn accept_reindex(
    app: &ApiState,
    who: &KbCaller<UpdateDocuments>,
    key: &IdempotencyKey,
) -> Result<Answer<KbJob>, Problem> {
    let fingerprint = Fingerprint::of("reindex", [who.kb.id.as_str()]);
    let submission = Submission { app, stores: &who.caller.stores, key, fingerprint };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let job_id = JobId::generate(app.clock().now());
    let job = who.caller.stamp(app, job_id, &ReindexKb::default())?;
    ensure_room(app, std::slice::from_ref(&job)).await?;
    let location = job_location(who.caller.tenant(), job_id);
    let body = KbJob { job_id, location, kb_id: who.kb.id.clone() };
    let limits = app.limits_of(who.caller.tenant()).await?;
    let proposal = Proposal { jobs: vec![job], limits, ..Proposal::default() };
    submission.propose(proposal, body).await?.answer()
}
