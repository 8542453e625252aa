//! PostgreSQL: the catalog, and the part of the index that is not the graph.
//!
//! Every way to a connection is a transaction with a name that says whose rows it sees ([`Postgres::begin`]). Every
//! table of tenants has forced row level security, so a transaction that forgot to say so sees nothing.

mod chunks;
mod derive;
mod fault;
mod locks;
mod mentions;
mod migrate;
mod pool;
mod ready;
mod tx;

pub(crate) use derive::GraphChange;
pub(crate) use fault::kind as postgres_error_kind;
pub(crate) use mentions::Mentioner;
pub use migrate::migrate;
pub(crate) use pool::{Postgres, TenantDb};
