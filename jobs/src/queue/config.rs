//! How the queue is reached and how patient it is.

use std::time::Duration;

use secrecy::SecretString;

use crate::clock::SharedClock;

/// How to reach the queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Where Redis is; [`super::RedisAddress`] lists the forms. It may hold a password, so it is never printed.
    pub url: SecretString,
    /// First part of every key. Two installations on one Redis differ in it.
    pub prefix: String,
    /// How many parts the queue has, each in one slot of a cluster. A tenant is in one of them. The queue remembers
    /// the number; another one is refused until `tenantry shards` has moved what has to move.
    pub shards: u16,
    /// How long a claim lasts unless it is renewed. A worker that vanishes is noticed after this time.
    pub lease: Duration,
    /// The longest that one call to Redis may take before it counts as failed.
    pub call_deadline: Duration,
    /// How many workers may vanish under a job before it goes to quarantine.
    pub max_deaths: u32,
    /// Who tells the queue the time. `None`, as it should be outside tests, asks Redis itself.
    pub clock: Option<SharedClock>,
}

impl QueueConfig {
    /// A shorter lease would be spent on renewing it; it is raised to this.
    pub const SHORTEST_LEASE: Duration = Duration::from_millis(500);

    /// How many shards a queue on a cluster has unless somebody says otherwise.
    pub const CLUSTER_SHARDS: u16 = 16;

    /// Each shard has a wake-up connection in every worker.
    pub const MOST_SHARDS: u16 = 256;

    /// The usual settings for the Redis at `url`.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        let cluster = super::RedisAddress::parse(&url).is_ok_and(|address| address.is_cluster());
        Self {
            url,
            prefix: "tenantry".to_owned(),
            shards: if cluster { Self::CLUSTER_SHARDS } else { 1 },
            lease: Duration::from_secs(30),
            call_deadline: Duration::from_secs(5),
            max_deaths: 3,
            clock: None,
        }
    }
}
