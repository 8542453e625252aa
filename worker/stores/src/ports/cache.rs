use std::time::Duration;

use super::StoreResult;
use crate::model::{RateTaken, RateWindow};

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
