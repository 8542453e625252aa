//! Redis: small values that may be lost, and the connection that the directory's news travel on.

mod clear;
mod commands;
mod connect;
mod fault;
#[cfg(feature = "test-support")]
mod memory_cache;
#[cfg(feature = "test-support")]
mod memory_rates;
mod rewrite;
mod tenant_cache;

pub(crate) use commands::Commands;
pub(crate) use connect::connect;
#[cfg(feature = "test-support")]
pub(crate) use memory_cache::MemoryCache;
pub(crate) use tenant_cache::RedisCache;
