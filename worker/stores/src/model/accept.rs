use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use jobs::tenant::{Identity, KbId, Role};
use serde_json::Value;

use super::{NewDocument, NewKb, NewTenant, OverQuota, User};

/// Everything that accepting one request writes, in one transaction: all of it or nothing.
#[derive(Debug, Default)]
pub struct Acceptance {
    /// The tenant to create, when the request creates one.
    pub tenant: Option<NewTenant>,
    /// The user to create, as ADMIN of the tenant.
    pub founder: Option<User>,
    /// The first member of the tenant to create, with credentials from elsewhere.
    pub member: Option<(Identity, Role)>,
    /// The knowledge base to make.
    pub kb: Option<NewKb>,
    /// The knowledge base to close: nobody sees it, nor its documents and schedules, any more, and the job
    /// that empties it is among `jobs`. It may be closed already.
    pub kb_close: Option<KbId>,
    /// The epoch of a tenant that was closed ([`crate::Lifecycle::tenant_close`]) and whose end `jobs` are
    /// to bring about. Nothing else is accepted of a closed tenant.
    pub tenant_closed: Option<u64>,
    /// The documents to register as pending (or again as pending, when the name is known), in one knowledge
    /// base.
    pub documents: Option<(KbId, Vec<NewDocument>)>,
    /// The jobs that the request asks for. They stay in the outbox until the queue has them.
    pub jobs: Vec<StampedJob>,
    /// The answer to give again when the same request comes again.
    pub idempotency: Option<Idempotency>,
    /// What the tenant may have: documents, bytes and jobs are counted in the same transaction. By default
    /// there is no limit.
    pub limits: Limits,
}

/// An `Idempotency-Key`, the request it stands for, and the answer that was given.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The key that the caller chose.
    pub key: String,
    /// Digest of what was asked, so that the key cannot be used for something else.
    pub fingerprint: String,
    /// The answer's status.
    pub status: u16,
    /// The answer's body, without secrets.
    pub body: Value,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Digest of what was asked then.
    pub fingerprint: String,
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    pub body: Value,
}

/// What became of an [`Acceptance`].
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
    /// The tenant has a knowledge base of that id, which may be on its way out; nothing was written.
    KbExists,
    /// The tenant is closed, or was closed once more; nothing was written.
    TenantGone,
    /// The knowledge base is gone or closed; nothing was written.
    KbGone,
    /// A document was uploaded by someone else in between (its revision moved); nothing was written. Read it
    /// and try again.
    RevisionMoved,
    /// It is more than [`Acceptance::limits`] allow; nothing was written.
    OverQuota(OverQuota),
}
