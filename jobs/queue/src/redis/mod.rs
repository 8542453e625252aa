//! Reaching Redis: one server, or a cluster.

pub(crate) mod address;
pub(crate) mod cluster;
pub(crate) mod connection;

pub use address::RedisAddress;
