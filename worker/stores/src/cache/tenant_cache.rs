use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobs::tenant::TenantId;
use redis::Cmd;

use super::fault::fault;
use super::rewrite::Rewriter;
use super::{Commands, clear};
use crate::deadline::{BULK, CALL, within};
use crate::model::{RateTaken, RateWindow};
use crate::ports::{Cache, StoreResult};
use crate::scoped::Scope;

/// Redis refuses a time to live that overflows its clock.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Sent as it is: Redis compiles it once, and one that forgot it needs no second round trip.
const RATE: &str = include_str!("rate.lua");

/// The caches of all tenants.
pub(crate) struct RedisCache {
    redis: Commands,
    rewriter: Rewriter,
}

impl RedisCache {
    /// `own_files` is the directory of a server that belongs to us: its files are rewritten when a tenant went.
    pub(crate) fn new(redis: Commands, own_files: Option<PathBuf>) -> Self {
        Self { redis, rewriter: Rewriter::new(own_files) }
    }
}

impl Scope<dyn Cache> for RedisCache {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Cache> {
        // No tenant id holds a colon, so no tenant's prefix is the beginning of another's.
        let (redis, rewriter) = (self.redis.clone(), self.rewriter.clone());
        Arc::new(TenantCache { redis, rewriter, prefix: format!("t:{tenant}:") })
    }
}

struct TenantCache {
    redis: Commands,
    rewriter: Rewriter,
    prefix: String,
}

impl TenantCache {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn run<T: redis::FromRedisValue + Send>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> StoreResult<T> {
        let mut redis = self.redis.clone();
        let call = async { command.query_async(&mut redis).await.map_err(|error| fault(operation, error)) };
        within(operation, CALL, call).await
    }
}

#[async_trait::async_trait]
impl Cache for TenantCache {
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let ttl_ms = u64::try_from(ttl.min(TTL_MAX).as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value).arg("PX").arg(ttl_ms);
        self.run("cache.put", &command).await
    }

    async fn get(&self, key: &str) -> StoreResult<Option<String>> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        self.run("cache.get", &command).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let mut command = redis::cmd("UNLINK");
        command.arg(self.key(key));
        self.run("cache.delete", &command).await
    }

    async fn rate_take(&self, key: &str, window: RateWindow, more: u64) -> StoreResult<RateTaken> {
        let RateWindow { limit, window_s, now_s } = window;
        let mut command = redis::cmd("EVAL");
        command.arg(RATE).arg(1).arg(self.key(key)).arg(limit).arg(window_s).arg(now_s).arg(more);
        let (taken, used, frees_in_s) = self.run("cache.rate_take", &command).await?;
        Ok(RateTaken { taken, used, frees_in_s })
    }

    async fn clear(&self) -> StoreResult<()> {
        let mut redis = self.redis.clone();
        let clear =
            async { clear::all(&mut redis, &self.prefix).await.map_err(|error| fault("cache.clear", error)) };
        within("cache.clear", BULK, clear).await?;
        self.rewriter.soon(&self.redis);
        Ok(())
    }
}
