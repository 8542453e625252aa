//! The product's job types: payload and policy. Their handlers live in the worker under the same file names.

mod document_delete;
mod document_ingest;
mod documents_delete;
mod entities_extract;
mod graph_build;
mod kb_delete;
mod kb_reindex;
mod tenant_deprovision;
mod tenant_provision;
mod webhook_deliver;

pub use document_delete::DeleteDocument;
pub use document_ingest::IngestDocument;
pub use documents_delete::DeleteDocuments;
pub use entities_extract::ExtractEntities;
pub use graph_build::BuildGraph;
pub use kb_delete::DeleteKb;
pub use kb_reindex::ReindexKb;
pub use tenant_deprovision::DeprovisionTenant;
pub use tenant_provision::{FirstApiKey, ProvisionTenant};
pub use webhook_deliver::DeliverWebhook;
