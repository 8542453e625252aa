//! PostgreSQL: its connections, its tables, and what is checked of both.
//!
//! Connections are used only through named transactions that declare whose rows they may see ([`Postgres::begin`]).
//! Every table of tenants has forced row level security, so a transaction without a declaration sees no rows.

mod fault;
mod migrate;
mod pool;
mod ready;
mod tx;

pub(crate) use fault::kind as postgres_error_kind;
pub use migrate::migrate;
pub(crate) use pool::{OpenTransaction, Postgres};
