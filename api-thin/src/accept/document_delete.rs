use jobs::types::DeleteDocument;
use jobs::{DocumentId, JobId};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, job_location};
use super::fingerprint::Fingerprint;
use super::room::ensure_room;
use super::submission::{Proposal, Submission};
use crate::extract::{DeleteDocuments, IdempotencyKey, KbCaller};
use crate::problem::Problem;
use crate::server::ApiState;

/// Work on a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DocumentJob {
    /// The job that does the work.
    job_id: JobId,
    /// Where the job is shown.
    location: String,
    document_id: DocumentId,
    /// Which of the document's revisions is meant.
    revision: u64,
}

/// Enqueues one `document.delete` for a document as it is now. What is uploaded later under its name stays.
///
/// # Errors
/// When there is no such document, the tenant may not have more work in the queue, the idempotency key stands
/// for another request, or a store is away.
pub async fn accept_document_delete(
    app: &ApiState,
    who: &KbCaller<DeleteDocuments>,
    key: &IdempotencyKey,
    id: DocumentId,
) -> Result<Answer<DocumentJob>, Problem> {
    let fingerprint = Fingerprint::of("document.delete", [who.kb.id.as_str(), id.as_str()]);
    let submission = Submission { app, stores: &who.caller.stores, key, fingerprint };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let document = who.caller.stores.catalog().document(&who.kb.id, &id).await?;
    let revision = document.ok_or_else(Problem::not_found)?.revision;
    let job_id = JobId::generate(app.clock().now());
    let job = who.caller.stamp(app, job_id, &DeleteDocument { document_id: id.clone(), revision })?;
    ensure_room(app, std::slice::from_ref(&job)).await?;
    let location = job_location(who.caller.tenant(), job_id);
    let body = DocumentJob { job_id, location, document_id: id, revision };
    submission.propose(Proposal { jobs: vec![job], ..Proposal::default() }, body).await?.answer()
}
