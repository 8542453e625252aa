//! One file for each job type, named like its payload. Each asks the same four questions: does it work, is it
//! idempotent, is missing data success, is the other tenant untouched.

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
