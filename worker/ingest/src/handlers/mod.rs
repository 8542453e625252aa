//! Handlers of the product's job types. One file for each type, named like its payload in `jobs`.

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

mod document;
