//! Connections before anything is known of who is at their other end: how many there may be, how long each may
//! take, and which one is closed to make room.
//!
//! A connection whose request brought no good credentials yet is a stranger's. Strangers cost a bounded number of
//! handles and a bounded time, and never keep others out: when all places are taken, the address with the most
//! strangers' connections loses its oldest.

mod client_address;
mod connection;
mod connection_table;
mod socket;

pub use client_address::ClientAddress;
pub(crate) use client_address::is_trusted;
pub use connection::{OpenRequest, listen};
pub use connection_table::Connections;
