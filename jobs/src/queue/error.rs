//! What can go wrong between us and Redis.

use std::time::Duration;

/// A call to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The configured URL is not one. The text never repeats it.
    #[error("the Redis URL cannot be read: expected redis://[user:password@]host[:port][/database]")]
    Url,
    /// Redis answered with an error, or the connection broke.
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer in time. The call may or may not have been carried out.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// Redis may throw jobs away when its memory is full.
    #[error(
        "Redis has maxmemory-policy {0}, under which it may throw jobs away: run `redis-cli config set \
         maxmemory-policy noeviction` and put `maxmemory-policy noeviction` in redis.conf"
    )]
    Eviction(String),
    /// Redis is too old for what the queue needs.
    #[error("Redis {0} is too old: the queue needs 7.0 or newer (it uses FUNCTION)")]
    TooOld(String),
    /// Redis answered something else than the queue's functions do.
    #[error("an answer of Redis cannot be read: {0}")]
    Answer(&'static str),
    /// A finish asks for more children than one call may enqueue.
    #[error("{count} children in one finish, more than {} allowed", super::Finish::MAX_CHILDREN)]
    TooManyChildren {
        /// How many there were.
        count: usize,
    },
    /// Tenants may not add as much as was pushed for them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    LimitReached(Vec<super::LimitReached>),
    /// A finish tries to enqueue a job for another tenant.
    #[error("a child was stamped for another tenant than its parent")]
    ForeignChild,
}

impl QueueError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Deadline(_) => true,
            Self::Redis(error) => error.is_io_error() || error.is_timeout() || is_state_of_server(error),
            _ => false,
        }
    }
}

/// Errors that describe what the server is going through, not what it was asked.
fn is_state_of_server(error: &redis::RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(
        code,
        "LOADING"
            | "BUSY"
            | "READONLY"
            | "MASTERDOWN"
            | "TRYAGAIN"
            | "CLUSTERDOWN"
            | "OOM"
            | "MISCONF"
            | "NOREPLICAS"
    ) || error.is_unrecoverable_error()
}
