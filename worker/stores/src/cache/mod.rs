//! The cache: small values that may be lost, and sliding windows for rate limits.

#[cfg(feature = "test-support")]
mod memory;
mod redis;

use std::time::Duration;

use crate::ports::StoreResult;

#[cfg(feature = "test-support")]
pub(crate) use memory::MemoryCache;
pub(crate) use redis::{RedisCache, connect};

/// Small values of the tenant that may be lost at any time, in Redis under `t:{tenant}:`.
#[async_trait::async_trait]
pub trait Cache: Send + Sync {
    /// Stores a value until `ttl` is over.
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()>;

    /// A value; `None` when it expired or was lost.
    async fn get(&self, key: &str) -> StoreResult<Option<String>>;

    /// Removes a value.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Takes `more` from a rate window, all or nothing and atomically; 0 only reads it.
    async fn rate_take(&self, key: &str, window: RateWindow, more: u64) -> StoreResult<RateTaken>;

    /// Removes all values.
    async fn clear(&self) -> StoreResult<()>;
}

/// A sliding window with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// Amount that fits into the window.
    pub limit: u64,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// The present moment, at which the window ends, in seconds since the Unix epoch.
    pub now_s: i64,
}

/// State of a [`RateWindow`] after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTaken {
    /// Whether the amount fitted. If not, nothing was taken.
    pub taken: bool,
    /// Amount in the window now.
    pub used: u64,
    /// Seconds until the oldest entry leaves the window and makes room.
    pub frees_in_s: u32,
}
