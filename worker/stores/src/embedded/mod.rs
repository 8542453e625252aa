//! Catalog, documents and index in `SQLite` files: `catalog.db`, and one file for each tenant.
//!
//! A file has one writing connection, whose transactions take the write lock when they begin, so that writers of
//! this process wait in a queue and only other processes can make the file busy. Readers never wait for it.

mod fault;
mod file;
mod open_files;
mod scrub;

pub(crate) use fault::{Fault, sqlx_kind as sqlite_error_kind};
pub(crate) use file::{SqliteFile, Usage as SqliteUsage};
pub(crate) use open_files::open;
pub(crate) use scrub::note as note_deletion;
