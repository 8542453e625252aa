//! The catalog of one tenant.

mod accept;
mod document;
mod history;
mod idempotency;
mod port;
mod schedule;
mod tenant;

pub(crate) use port::PgCatalogs;
