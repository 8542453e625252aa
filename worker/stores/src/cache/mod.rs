//! Small values that may be lost, and how often things happened lately.

#[cfg(feature = "test-support")]
mod memory;
mod redis;

use std::time::Duration;

use crate::ports::StoreResult;

#[cfg(feature = "test-support")]
pub(crate) use memory::MemoryCache;
pub(crate) use redis::{Commands, RedisCache, connect};

/// Small values of the tenant that may be lost at any time, in Redis under `t:{tenant}:`.
#[async_trait::async_trait]
pub trait Cache: Send + Sync {
    /// Stores a value for a while.
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()>;

    /// A value, if it is still there.
    async fn get(&self, key: &str) -> StoreResult<Option<String>>;

    /// Removes a value.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Takes `more` of what a window may hold, all or nothing, in one step; 0 only looks.
    async fn rate_take(&self, key: &str, window: RateWindow, more: u64) -> StoreResult<RateTaken>;

    /// Removes all values.
    async fn clear(&self) -> StoreResult<()>;
}

/// A window that slides along with time and may hold so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// How much it may hold.
    pub limit: u64,
    /// How long it is.
    pub window_s: u32,
    /// Its end, the present moment, in seconds since the Unix epoch.
    pub now_s: i64,
}

/// What a [`RateWindow`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTaken {
    /// Whether there was room. If not, nothing was taken.
    pub taken: bool,
    /// How much it holds now.
    pub used: u64,
    /// When the oldest of it leaves the window, and makes room.
    pub frees_in_s: u32,
}
