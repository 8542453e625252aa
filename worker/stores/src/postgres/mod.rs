//! PostgreSQL: the catalog.
//!
//! There are few ways to a connection, each a transaction with a name: as one tenant ([`pool::TenantDb::tx`]), and
//! as the reader of the directory, the relay of the outbox, or the keeper of users
//! ([`Postgres::reader_tx`]). Every table has forced row level security, so a transaction that forgot to say
//! whose it is sees nothing.

mod catalog;
mod directory;
mod fault;
mod identities;
mod migrate;
mod outbox;
mod pool;
mod ready;
mod row;
mod schedules;
mod settings;
mod tx;

pub(crate) use catalog::PgCatalogs;
pub(crate) use directory::PgDirectory;
pub(crate) use fault::kind as postgres_error_kind;
pub(crate) use identities::PgIdentities;
pub use migrate::migrate;
pub(crate) use outbox::PgOutbox;
pub(crate) use pool::Postgres;
pub(crate) use schedules::PgSchedules;
pub(crate) use settings::PgSettings;
