//! Redis: small values that may be lost, and the connection that the directory's news travel on.

mod connect;
mod fault;
mod tenant_cache;

pub(crate) use connect::connect;
pub(crate) use tenant_cache::RedisCache;
