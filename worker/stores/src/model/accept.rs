use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use jobs::tenant::{Identity, KbId, Role};
use jobs::{BatchId, DocumentId};
use serde_json::Value;

use super::{NewDocument, NewKb, NewTenant, OverQuota, Usage, User};

/// Everything that accepting one request writes: all of it in one transaction, or nothing.
#[derive(Debug, Default)]
pub struct Acceptance {
    /// The tenant to create, if the request creates one.
    pub tenant: Option<NewTenant>,
    /// The account to create as an ADMIN of the tenant.
    pub founder: Option<User>,
    /// The first member of a new tenant, for an identity that another provider authenticates.
    pub member: Option<(Identity, Role)>,
    /// The knowledge base to create.
    pub kb: Option<NewKb>,
    /// The knowledge base to close: afterwards it is not found, nor are its documents and schedules; the job that
    /// empties it is among `jobs`. It may be closed already.
    pub kb_close: Option<KbId>,
    /// The epoch of a closed tenant ([`crate::Lifecycle::tenant_close`]) that `jobs` are to delete. A closed tenant
    /// accepts nothing else.
    pub tenant_closed: Option<u64>,
    /// The documents of one knowledge base, which exists already, to register as pending; known names are replaced.
    pub documents: Option<(KbId, Vec<NewDocument>)>,
    /// The batch of the documents.
    pub batch: Option<BatchId>,
    /// The jobs of the request. They stay in the outbox until the queue has them.
    pub jobs: Vec<StampedJob>,
    /// The idempotency key and the answer to repeat when the same request comes again.
    pub idempotency: Option<Idempotency>,
    /// The tenant's limits: documents, bytes and jobs are counted in the same transaction. Without limits by
    /// default.
    pub limits: Limits,
}

/// An `Idempotency-Key`, the request it stands for, and its answer.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The key that the caller chose.
    pub key: String,
    /// Digest of the request, so that the key cannot be used for another one.
    pub fingerprint: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer, without secrets.
    pub body: Value,
}

/// An answer stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Digest of the earlier request.
    pub fingerprint: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Body of the answer.
    pub body: Value,
}

/// An upload that is about to be stored, as far as the catalog is asked about it.
#[derive(Debug, Clone, Copy)]
pub struct UploadQuestion<'a> {
    /// The knowledge base.
    pub kb: &'a KbId,
    /// The documents: one at least.
    pub documents: &'a [DocumentId],
    /// The idempotency key of the request.
    pub key: Option<&'a str>,
    /// The batch that they are for.
    pub batch: Option<BatchId>,
    /// The tenant's limits. What they do not limit is not counted.
    pub limits: &'a Limits,
}

/// What the catalog has when an upload comes. Other requests may change it until the upload is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadView {
    /// The answer to an earlier request with the idempotency key.
    pub replay: Option<Replay>,
    /// What there is under each document's id, in their order.
    pub documents: Vec<KnownDocument>,
    /// The documents and bytes, 0 where the limits do not limit them, and the jobs of the day.
    pub usage: Usage,
    /// Whether the batch was cancelled.
    pub batch_cancelled: bool,
}

/// What there is under the id of an uploaded document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDocument {
    /// The revision on which the upload builds: that of the document, also while it is being deleted; for an unknown
    /// document the highest revision of any deleted document of the tenant.
    pub revision: u64,
    /// The size of the original that the upload replaces; `None` when there is none, or when it is being deleted.
    pub replaced_bytes: Option<u64>,
}

/// The outcome of an [`Acceptance`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It was written.
    New,
    /// The idempotency key was used before; nothing was written.
    Replayed(Replay),
    /// The tenant exists already; nothing was written.
    TenantExists,
    /// The founder's name is taken; nothing was written.
    UserExists,
    /// The tenant has a knowledge base with this id, which may be closed; nothing was written.
    KbExists,
    /// The tenant is closed, or was closed again under another epoch; nothing was written.
    TenantGone,
    /// The knowledge base is gone or closed; nothing was written.
    KbGone,
    /// Conflict: another request uploaded one of the documents in between (its revision changed), or their batch
    /// was cancelled; nothing was written. Read it and try again.
    RevisionMoved,
    /// It exceeds [`Acceptance::limits`]; nothing was written.
    OverQuota(OverQuota),
}
