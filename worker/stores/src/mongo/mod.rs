//! MongoDB, or what speaks its protocol: texts of documents, and what was extracted from them.
//!
//! All tenants share the collections. A [`TenantCollection`](collection::TenantCollection) adds `tenant_id`
//! to every filter and every document. No transactions and no arrays inside arrays, so that `FerretDB` will
//! do.

mod collection;
mod documents;
mod extractions;
mod fault;
mod parsed;
mod server;

pub(crate) use documents::MongoDocuments;
pub(crate) use server::Mongo;
