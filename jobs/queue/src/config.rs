//! How the queue is reached and how patient it is.

use std::time::Duration;

use secrecy::SecretString;

use crate::clock::SharedClock;

/// How to reach the queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Where Redis is; [`crate::redis::RedisAddress`] lists the forms. It may hold a password, so it is never printed.
    pub url: SecretString,
    /// First part of every key. Two installations on one Redis differ in it.
    pub prefix: String,
    /// Number of shards, each in one hash slot of a cluster. All keys of a partition are in one shard. Redis stores
    /// the number; connecting with another one is refused until [`reshard`](crate::reshard) has moved the keys.
    pub shards: u16,
    /// How long a claim lasts unless it is renewed. A worker that vanishes is noticed after this time.
    pub lease: Duration,
    /// The longest that one call to Redis may take before it counts as failed.
    pub call_deadline: Duration,
    /// How many workers may vanish under a job before it goes to quarantine.
    pub max_deaths: u32,
    /// The clock of the queue. `None`, as it should be outside tests, uses the time of Redis.
    pub clock: Option<SharedClock>,
    /// The names of settings and commands in error messages, for the program's users.
    pub wording: Wording,
}

/// What a program calls its settings and commands, for messages that say how to mend something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// The setting with the number of shards.
    pub shards: &'static str,
    /// The command that changes the number; it is shown with the new one behind it.
    pub reshard: &'static str,
}

impl Default for Wording {
    fn default() -> Self {
        Self { shards: "QueueConfig::shards", reshard: "fair_queue::reshard" }
    }
}

impl QueueConfig {
    /// A shorter lease would be spent on renewing it; it is raised to this.
    pub const SHORTEST_LEASE: Duration = Duration::from_millis(500);

    /// Default number of shards of a queue on a cluster.
    pub const CLUSTER_SHARDS: u16 = 16;

    /// Each shard has a wake-up connection in every worker.
    pub const MOST_SHARDS: u16 = 256;

    /// The usual settings for the Redis at `url`, with keys that begin with `prefix`.
    #[must_use]
    pub fn new(url: SecretString, prefix: &str) -> Self {
        let cluster = crate::redis::RedisAddress::parse(&url).is_ok_and(|address| address.is_cluster());
        Self {
            url,
            prefix: prefix.to_owned(),
            shards: if cluster { Self::CLUSTER_SHARDS } else { 1 },
            lease: Duration::from_secs(30),
            call_deadline: Duration::from_secs(5),
            max_deaths: 3,
            clock: None,
            wording: Wording::default(),
        }
    }
}
