//! Real servers for tests.

mod redis;
mod urls;

pub use redis::{RedisServer, shared_redis_url};
pub use urls::{ServerUrls, migrated};
