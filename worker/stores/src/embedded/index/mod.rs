//! The index in a tenant's `SQLite` file.

mod chunks;
mod derive;
mod graph;
mod mentions;
mod pages;
mod port;

pub(super) use port::SqliteIndex;
