//! Real servers for tests.

mod cluster;
mod redis;
mod urls;

pub use cluster::RedisCluster;
pub use redis::{RedisServer, shared_redis_url};
pub use urls::{ServerUrls, migrated};
