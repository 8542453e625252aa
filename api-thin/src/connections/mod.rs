//! Connections before their callers are authenticated: how many there may be, how long each may take, and which one is
//! closed to make room.
//!
//! A connection is a stranger's until one of its requests has valid credentials. Strangers cost a bounded number of
//! handles and a bounded time, and never keep authenticated callers out: when the table is full, the address with the
//! most strangers' connections loses its oldest.

mod answer_body;
mod client_address;
mod connection;
mod connection_table;
mod socket;

pub use client_address::ClientAddress;
pub(crate) use client_address::is_trusted;
pub use connection::listen;
pub use connection_table::{Connections, OpenRequest};
