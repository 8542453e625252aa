//! The cache: small values that may be lost.

#[cfg(feature = "test-support")]
mod memory;
mod redis;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ports::StoreResult;

#[cfg(feature = "test-support")]
pub(crate) use memory::MemoryCache;
pub(crate) use redis::{RedisCache, connect, fault};

/// Small values of the tenant that may be lost at any time, in Redis under `t:{tenant}:`.
#[async_trait::async_trait]
pub trait Cache: Send + Sync {
    /// Stores a value until `ttl` is over.
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()>;

    /// A value; `None` when it expired or was lost.
    async fn get(&self, key: &str) -> StoreResult<Option<String>>;

    /// Removes a value.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Stores one field of a value that has several, and keeps them all until `ttl` is over.
    async fn put_field(&self, key: &str, field: &str, value: &str, ttl: Duration) -> StoreResult<()>;

    /// The fields of such a value, by name; none when it expired or was lost.
    async fn fields(&self, key: &str) -> StoreResult<BTreeMap<String, String>>;

    /// Removes all values.
    async fn clear(&self) -> StoreResult<()>;
}
