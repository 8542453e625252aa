//! Accepting a request: everything it means is written in one transaction, under its `Idempotency-Key`, and
//! only then handed to the queue. If the queue is away the request is accepted all the same: the outbox relay
//! delivers later.

mod answer;
mod arrival;
mod deliver;
mod document_delete;
mod documents;
mod fingerprint;
mod kb;
mod merge_patch;
mod originals;
mod quota;
mod rag_settings;
mod reindex;
mod room;
mod settings;
mod submission;
mod tenant;
mod tenant_delete;

pub use answer::Answer;
pub(crate) use answer::job_location;
pub(crate) use arrival::{bring_into_being, make_only_tenant};
pub use document_delete::{DocumentJob, accept_document_delete};
pub use documents::{AcceptedDocuments, accept_documents};
pub use fingerprint::Fingerprint;
pub use kb::{KbJob, MadeKb, accept_kb, accept_kb_delete};
pub(crate) use rag_settings::change_rag_settings;
pub use reindex::accept_reindex;
pub use settings::{SettingsChange, change_settings};
pub(crate) use settings::{apply_settings, check_plan};
pub use tenant::{AcceptedTenant, TenantRequest, accept_tenant};
pub use tenant_delete::{ClosedTenant, accept_tenant_delete};
