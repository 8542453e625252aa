//! Real servers for tests.

mod redis;

pub use redis::{RedisServer, shared_redis_url};
