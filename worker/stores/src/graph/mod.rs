//! Neo4j: entities and relations as `LightRAG` reads them.
//!
//! The label of a node is its knowledge base's workspace id and nothing else; `tenant_id` and `kb_id` are
//! properties that `LightRAG` ignores. No query runs without `$tenant_id` in its text: see
//! [`tenant_cypher!`](crate::tenant_cypher).

mod bolt;
mod cypher;
mod fault;
mod forget;
mod provision;
mod read;
mod room;
mod write;

pub(crate) use bolt::Neo4j;
pub use cypher::TenantCypher;
