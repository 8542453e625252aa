//! Accepting a request: everything it means is written in one transaction, under its `Idempotency-Key`, and only then
//! handed to the queue. If the queue does not answer, the request is accepted all the same: the outbox relay delivers
//! later.

mod new_tenant;
mod submission;

pub use new_tenant::{AcceptedTenant, TenantRequest, accept_tenant};
pub(crate) use new_tenant::{apply_settings, create_by_settings, create_only_tenant};
pub use submission::{Fingerprint, IdempotencyKey};
pub(crate) use submission::{Names, Submission, deliver, ensure_room, retries_exhausted, same_work};
