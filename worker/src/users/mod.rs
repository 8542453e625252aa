//! Taking over users from elsewhere.

mod file;
mod import;

pub use file::{InvalidUsers, UsersFile};
pub use import::{Import, Refused, Said};
