//! PostgreSQL: its connections, its tables, and what is checked of both.
//!
//! Every way to a connection is a transaction with a name that says whose rows it sees ([`Postgres::begin`]). Every
//! table of tenants has forced row level security, so a transaction that forgot to say so sees nothing.

mod fault;
mod migrate;
mod pool;
mod ready;
mod tx;

pub(crate) use fault::kind as postgres_error_kind;
pub use migrate::migrate;
pub(crate) use pool::Postgres;
