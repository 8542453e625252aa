//! Catalog, documents and index in `SQLite` files.
mod open;

pub(crate) use open::open;
