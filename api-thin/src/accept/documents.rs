use jobs::envelope::StampedJob;
use jobs::tenant::TenantId;
use jobs::types::IngestDocument;
use jobs::{DocumentId, JobId};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::{Growth, NewDocument};

use super::answer::{Answer, job_location};
use super::fingerprint::Fingerprint;
use super::originals::Unregistered;
use super::quota::ensure_quota;
use super::room::ensure_room;
use super::submission::{Outcome, Proposal, Submission, outrun};
use crate::documents::Upload;
use crate::extract::{CreateDocuments, IdempotencyKey, KbCaller};
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// How often others may upload the same document in between before we give up.
const TRIES: u32 = 8;

/// Documents that were accepted. `job_id` and `location` are those of the first; each has its own.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AcceptedDocuments {
    /// The job that does the work.
    job_id: JobId,
    /// Where the job is shown.
    location: String,
    documents: Vec<AcceptedDocument>,
}

/// A document that was accepted.
#[derive(Debug, Serialize, JsonSchema)]
struct AcceptedDocument {
    document_id: DocumentId,
    /// Its file name, as it is kept.
    name: String,
    /// How often the name was uploaded.
    revision: u64,
    /// The job that ingests it.
    job_id: JobId,
    /// Where the job is shown.
    location: String,
}

/// Stores the originals, registers the documents and enqueues one `document.ingest` for each: all of them or
/// none.
///
/// # Errors
/// When the tenant may not have more documents or work in the queue, the idempotency key stands for another
/// request, others keep uploading the same documents, or a store is away.
pub async fn accept_documents(
    app: &ApiState,
    who: &KbCaller<CreateDocuments>,
    key: &IdempotencyKey,
    uploads: &[Upload],
) -> Result<Answer<AcceptedDocuments>, Problem> {
    let fingerprint = fingerprint(who, uploads);
    let submission = Submission { app, stores: &who.caller.stores, key, fingerprint };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    for _ in 0..TRIES {
        let (proposal, body, growth) = propose(app, who, uploads).await?;
        ensure_quota(app, who, &proposal, growth).await?;
        ensure_room(app, &proposal.jobs).await?;
        // After the revisions were read and before they are raised: the job of an earlier revision then sees
        // that these originals are newer than its own and leaves them.
        let originals = Unregistered::store(&who.caller.stores, &who.kb.id, uploads).await?;
        if let Outcome::Answer(answer) = submission.propose(proposal, body).await? {
            if !answer.replayed {
                originals.registered();
            }
            return Ok(answer);
        }
    }
    Err(outrun())
}

fn fingerprint(who: &KbCaller<CreateDocuments>, uploads: &[Upload]) -> Fingerprint {
    let documents =
        uploads.iter().flat_map(|upload| [upload.name.as_str(), upload.media_type, &upload.sha256]);
    Fingerprint::of("documents", std::iter::once(who.kb.id.as_str()).chain(documents))
}

async fn propose(
    app: &ApiState,
    who: &KbCaller<CreateDocuments>,
    uploads: &[Upload],
) -> Result<(Proposal, AcceptedDocuments, Growth), Problem> {
    let catalog = who.caller.stores.catalog();
    let (mut documents, mut jobs) = (Vec::new(), Vec::<StampedJob>::new());
    let (mut replaced, mut replaced_bytes) = (0, 0);
    for upload in uploads {
        let id = upload.name.document_id();
        let known = catalog.document(&who.kb.id, &id).await?;
        let last = match &known {
            Some(document) => document.revision,
            None => catalog.document_revision(&who.kb.id, &id).await?,
        };
        let revision = last + 1;
        if let Some(known) = known {
            replaced += 1;
            replaced_bytes += known.size_bytes;
        }
        let job_id = JobId::generate(app.clock().now());
        let job = IngestDocument { document_id: id.clone(), revision };
        jobs.push(who.caller.stamp(app, job_id, &job)?);
        documents.push(NewDocument {
            id,
            name: upload.name.to_string(),
            revision,
            media_type: upload.media_type.to_owned(),
            size_bytes: u64::try_from(upload.bytes.len()).unwrap_or(u64::MAX),
            sha256: upload.sha256.clone(),
            job_id,
        });
    }
    let body = body(who.caller.tenant(), &documents)?;
    let growth = Growth::of(&documents, replaced, replaced_bytes);
    let limits = app.limits_of(who.caller.tenant()).await?;
    let documents = Some((who.kb.id.clone(), documents));
    Ok((Proposal { documents, jobs, limits, ..Proposal::default() }, body, growth))
}

fn body(tenant: &TenantId, documents: &[NewDocument]) -> Result<AcceptedDocuments, Problem> {
    let row = |document: &NewDocument| AcceptedDocument {
        document_id: document.id.clone(),
        name: document.name.clone(),
        revision: document.revision,
        job_id: document.job_id,
        location: job_location(tenant, document.job_id),
    };
    let first =
        documents.first().ok_or_else(|| Problem::new(Code::NoDocuments, "send at least one document"))?;
    let location = job_location(tenant, first.job_id);
    Ok(AcceptedDocuments { job_id: first.job_id, location, documents: documents.iter().map(row).collect() })
}
