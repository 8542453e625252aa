//! Errors of the queue.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Wording;
use crate::describe::{root, sentence};
use crate::url::without_credentials;

/// A call to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The configured URL is not one. The text never repeats it.
    #[error(
        "the URL cannot be read: expected redis://[user:password@]host[:port][/database], redis+unix:///path of a \
         socket, or for a cluster redis+cluster://[user:password@]host:port[,host:port]..."
    )]
    Url,
    /// Redis answered with an error, or the connection broke.
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer in time. The call may or may not have been carried out.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// Redis may evict jobs when its memory is full.
    #[error(
        "Redis has maxmemory-policy {0}, under which it may throw jobs away: run `redis-cli config set \
         maxmemory-policy noeviction` and put `maxmemory-policy noeviction` in redis.conf"
    )]
    Eviction(String),
    /// Redis is older than the version the queue requires.
    #[error("Redis {0} is too old: the queue needs 7.0 or newer (it uses FUNCTION)")]
    TooOld(String),
    /// No master of the cluster has the slot of one of our shards, for now.
    #[error("a slot of the Redis cluster has no master")]
    SlotWithoutMaster,
    /// The URL names one server, which is part of a cluster.
    #[error(
        "this Redis is a node of a cluster: name it as one, redis+cluster://host:port[,host:port]... (REDIS_URL)"
    )]
    ClusterNode,
    /// The queue was created with another number of shards.
    #[error(
        "{} is {wanted}, but this queue has {stored}, and under another number its jobs would be \
         looked for in the wrong places: set {}={stored}, or stop all programs on the queue and run \
         `{} {wanted}`",
        wording.shards, wording.shards, wording.reshard
    )]
    Shards {
        /// The number of shards that Redis has stored.
        stored: u16,
        /// The number of shards in the caller's configuration.
        wanted: u16,
        /// The names of settings and commands in the message.
        wording: Wording,
    },
    /// The number of shards is being changed.
    #[error(
        "the number of shards of this queue is being changed from {from} to {to}: let `{} {to}` \
         end, or run it again, then start with {}={to}",
        wording.reshard, wording.shards
    )]
    Resharding {
        /// The number of shards before the change.
        from: u16,
        /// The number of shards after the change.
        to: u16,
        /// The names of settings and commands in the message.
        wording: Wording,
    },
    /// Redis gave an answer that the queue's functions do not give.
    #[error("an answer of Redis cannot be read: {0}")]
    Answer(&'static str),
    /// A finish asks for more children than one call may enqueue.
    #[error("{count} children in one finish, more than {} allowed", crate::Finish::MAX_CHILDREN)]
    TooManyChildren {
        /// The number of children in the finish.
        count: usize,
    },
    /// Partitions may not add as much as was pushed for them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    LimitReached(Vec<crate::LimitReached>),
    /// A finish tries to enqueue a job for another partition.
    #[error("a child was stamped for another tenant than its parent")]
    ForeignChild,
}

impl QueueError {
    /// Why the Redis at `url` cannot be used and how to fix it: one sentence for the operator who starts a program.
    /// Never repeats credentials.
    #[must_use]
    pub fn refusal(&self, url: &SecretString) -> String {
        let at = without_credentials(url.expose_secret());
        match self {
            Self::Url => self.to_string(),
            Self::Redis(error) if error.is_io_error() => {
                let cause = root(error);
                format!("no Redis answers at {at} ({cause}): start it, or correct the address")
            }
            Self::Redis(error) if error.code() == Some("NOAUTH") => {
                format!("the Redis at {at} asks for a password: write it as redis://:password@host:port")
            }
            Self::Redis(error) if is_wrong_password(error) => {
                format!("the Redis at {at} refuses the user or the password: correct them in the URL")
            }
            Self::Redis(error) => {
                let cause = sentence(error);
                format!("the Redis at {at} refuses to serve ({cause}): correct that, or name another one")
            }
            Self::Deadline(limit) => {
                let limit_ms = limit.as_millis();
                format!(
                    "the Redis at {at} did not answer within {limit_ms} ms: see whether it runs and is idle"
                )
            }
            other => format!("{at}: {other}"),
        }
    }

    /// Whether the same call may succeed later without any change to its arguments or the configuration.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::SlotWithoutMaster | Self::Resharding { .. } | Self::Eviction(_) => true,
            Self::Redis(error) => error.is_io_error() || error.is_timeout() || is_state_of_server(error),
            _ => false,
        }
    }
}

fn is_wrong_password(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS")
}

/// Whether an error describes the server's state rather than a problem with the command.
fn is_state_of_server(error: &redis::RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(
        code,
        "LOADING"
            | "BUSY"
            | "READONLY"
            | "MASTERDOWN"
            | "TRYAGAIN"
            | "ASK"
            | "MOVED"
            | "CLUSTERDOWN"
            | "OOM"
            | "MISCONF"
            | "NOREPLICAS"
    ) || error.is_unrecoverable_error()
}
