//! Checks that a Redis is safe for jobs (version, eviction policy, cluster mode) at connect and again later, because an
//! administrator may change it while programs run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::describe::report;
use crate::error::QueueError;
use crate::queue::Queue;
use crate::redis::{Resend, Servers};

pub(super) async fn check(servers: &Servers, shard: u16) -> Result<(), QueueError> {
    check_version(&info(servers, shard, "server").await?)?;
    check_eviction(&info(servers, shard, "memory").await?)?;
    check_cluster(&info(servers, shard, "cluster").await?, servers.is_cluster())
}

pub(super) async fn info(servers: &Servers, shard: u16, section: &str) -> Result<String, QueueError> {
    servers.query(shard, redis::cmd("INFO").arg(section), Resend::Safe).await
}

pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

fn check_version(info: &str) -> Result<(), QueueError> {
    let version = field(info, "redis_version").ok_or(QueueError::Answer("no redis_version in INFO"))?;
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major >= 7 { Ok(()) } else { Err(QueueError::TooOld(version.to_owned())) }
}

pub(super) fn check_eviction(info: &str) -> Result<(), QueueError> {
    let policy = field(info, "maxmemory_policy").ok_or(QueueError::Answer("no maxmemory_policy in INFO"))?;
    if policy == "noeviction" { Ok(()) } else { Err(QueueError::Eviction(policy.to_owned())) }
}

fn check_cluster(info: &str, expected: bool) -> Result<(), QueueError> {
    let is_node = field(info, "cluster_enabled") == Some("1");
    if is_node && !expected { Err(QueueError::ClusterNode) } else { Ok(()) }
}

/// The mean interval between two checks; each varies by half of it.
const PERIOD: Duration = Duration::from_secs(3);

/// The result of the last check.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    /// The policy under which a server may evict jobs, while one has such a policy.
    policy: RwLock<Option<Arc<str>>>,
    /// Keys evicted so far, over all servers.
    evicted: AtomicU64,
}

/// The servers' memory policy and evictions.
#[derive(Debug, Default)]
struct Found {
    policy: Option<Arc<str>>,
    evicted: u64,
}

impl Queue {
    /// The policy under which Redis may evict jobs, if it had one when it was last looked at. Nothing is pushed
    /// then.
    #[must_use]
    pub fn eviction_policy(&self) -> Option<Arc<str>> {
        self.memory_watch().policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to answer to a push while Redis may evict jobs.
    pub(super) fn refuse_eviction(&self) -> Result<(), QueueError> {
        self.eviction_policy().map_or(Ok(()), |policy| Err(QueueError::Eviction(policy.to_string())))
    }

    /// Checks every few seconds until `stop` fires, and logs changes.
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

    /// Checks once.
    ///
    /// # Errors
    /// When Redis fails. The result of the last check stays in force.
    pub async fn look_at_memory(&self) -> Result<(), QueueError> {
        let mut found = Found::default();
        for shard in self.shards().filter(|&shard| self.servers().together_with(shard)[0] == shard) {
            // From INFO: managed Redis services do not allow CONFIG.
            let memory = info(self.servers(), shard, "memory").await?;
            let stats = info(self.servers(), shard, "stats").await?;
            if let Err(QueueError::Eviction(policy)) = check_eviction(&memory) {
                found.policy = Some(policy.into());
            }
            let evicted = field(&stats, "evicted_keys").and_then(|keys| keys.parse().ok());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_or_forgetful_redis_is_refused() {
        assert!(check_version("# Server\r\nredis_version:7.0.15\r\n").is_ok());
        assert!(check_version("redis_version:10.1.0\r\n").is_ok());
        assert!(
            matches!(check_version("redis_version:6.2.14\r\n"), Err(QueueError::TooOld(v)) if v == "6.2.14")
        );
        assert!(check_eviction("maxmemory_policy:noeviction\r\n").is_ok());
        let error = check_eviction("maxmemory_policy:allkeys-lru\r\n").unwrap_err().to_string();
        assert!(
            error.contains("allkeys-lru") && error.contains("config set maxmemory-policy noeviction"),
            "{error}"
        );
    }
}
