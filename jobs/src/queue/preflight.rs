//! What a Redis must be like before the queue trusts it with jobs.

use super::connection::Resend;
use super::error::QueueError;
use super::servers::Servers;

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
