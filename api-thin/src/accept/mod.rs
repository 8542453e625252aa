//! Accepting a request: everything it means is written in one transaction, under its `Idempotency-Key`, and
//! only then handed to the queue. If the queue is away the request is accepted all the same: the outbox relay
//! delivers later.

mod answer;
mod deliver;
mod documents;
mod fingerprint;
mod reindex;
mod submission;
mod tenant;

pub use answer::Answer;
pub use documents::accept_documents;
pub use fingerprint::Fingerprint;
pub use reindex::accept_reindex;
pub use tenant::{TenantRequest, accept_tenant};
