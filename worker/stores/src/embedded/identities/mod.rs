//! People who log in, in the catalog's file.

mod gates;
mod joining;
mod places;
mod port;
mod sessions;
mod users;

pub(super) use port::SqliteIdentities;
pub(super) use users::user_insert;
