//! Whether Redis keeps what it is given: looked at while programs run, because anybody may change it then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::client::Queue;
use super::error::QueueError;
use super::preflight;
use crate::error::report;

/// How often a program looks, give or take half of it.
const PERIOD: Duration = Duration::from_secs(3);

/// What the last look has found.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    /// The policy under which a server may throw jobs away, while one has such a policy.
    policy: RwLock<Option<Arc<str>>>,
    /// How many keys all servers had evicted.
    evicted: AtomicU64,
}

/// How the servers are, as far as memory goes.
#[derive(Debug, Default)]
struct Found {
    policy: Option<Arc<str>>,
    evicted: u64,
}

impl Queue {
    /// The policy under which Redis may throw jobs away, if it had one when it was last looked at. Nothing is pushed
    /// then.
    #[must_use]
    pub fn eviction_policy(&self) -> Option<Arc<str>> {
        self.memory_watch().policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to answer to a push while Redis may throw jobs away.
    pub(super) fn refuse_eviction(&self) -> Result<(), QueueError> {
        self.eviction_policy().map_or(Ok(()), |policy| Err(QueueError::Eviction(policy.to_string())))
    }

    /// Looks every few seconds until `stop` fires, and says what changed.
    pub async fn watch_memory(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.look_at_memory().await {
                tracing::debug!(error = report(&error), "cannot see whether redis keeps what it is given");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD.mul_f64(0.5 + rand::random::<f64>())) => {}
            }
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When Redis fails. What was found before stands then.
    pub async fn look_at_memory(&self) -> Result<(), QueueError> {
        let mut found = Found::default();
        for shard in self.shards().filter(|&shard| self.servers().together_with(shard)[0] == shard) {
            // From INFO: managed Redis services do not allow CONFIG.
            let memory = preflight::info(self.servers(), shard, "memory").await?;
            let stats = preflight::info(self.servers(), shard, "stats").await?;
            if let Err(QueueError::Eviction(policy)) = preflight::check_eviction(&memory) {
                found.policy = Some(policy.into());
            }
            let evicted = preflight::field(&stats, "evicted_keys").and_then(|keys| keys.parse().ok());
            found.evicted += evicted.unwrap_or(0_u64);
        }
        self.note(found);
        Ok(())
    }

    fn note(&self, found: Found) {
        let watch = self.memory_watch();
        let evicted_before = watch.evicted.swap(found.evicted, Ordering::Relaxed);
        if found.evicted > evicted_before {
            tracing::error!(
                redis.evicted_keys = found.evicted,
                "Redis has thrown {} keys away, jobs may be among them: documents that stay pending have to be \
                 reindexed once maxmemory-policy is noeviction",
                found.evicted - evicted_before
            );
        }
        let mut policy = watch.policy.write().unwrap_or_else(PoisonError::into_inner);
        if *policy == found.policy {
            return;
        }
        if let Some(policy) = &found.policy {
            let error = QueueError::Eviction(policy.to_string());
            tracing::error!("new jobs are not pushed: {}", report(&error));
        } else {
            tracing::info!("Redis has maxmemory-policy noeviction again, jobs are pushed");
        }
        *policy = found.policy;
    }
}
