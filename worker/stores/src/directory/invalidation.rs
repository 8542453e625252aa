//! Invalidation of cached answers, within this process and across processes by Redis pub/sub.

use std::time::Duration;

use jobs::queue::QueueError;
use jobs::redis::{Cmd, FromRedisValue, RedisClient, Resend, SubscriptionEvent, Value, cmd};
use jobs::tenant::TenantId;

use crate::catalog::DirectoryRows;
use crate::deadline::{CALL, bounded};
use crate::ports::StoreResult;

use super::Answers;

/// The channel on which the ids of changed tenants are published.
pub(super) const CHANNEL: &str = "tenantry:directory";
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);

/// Invalidates what directory caches hold of a tenant, in this and in every other process.
#[derive(Clone)]
pub(crate) struct DirectoryInvalidation {
    answers: Answers,
    /// `None` when there are no other processes.
    redis: Option<RedisClient>,
}

impl DirectoryInvalidation {
    pub(crate) fn new(answers: Answers, redis: RedisClient) -> Self {
        Self { answers, redis: Some(redis) }
    }

    /// Invalidation within this process only.
    #[cfg(feature = "test-support")]
    pub(crate) fn local(answers: Answers) -> Self {
        answers.set_invalidations_arrive(true);
        Self { answers, redis: None }
    }

    /// The slug cache, on the same Redis.
    pub(crate) fn slugs(&self) -> Slugs {
        Slugs::new(self.redis.clone())
    }

    /// Invalidates after a tenant was created, whose slug is its id.
    pub(crate) async fn tenant_made(&self, tenant: &TenantId) {
        self.slugs().changed(None, Some((tenant.as_str(), tenant))).await;
        self.tenant_changed(tenant).await;
    }

    /// Invalidates after a tenant's settings changed: its slug is now `slug`, and no longer `before`, if that is
    /// given. Call it after the commit.
    pub(crate) async fn tenant_put(&self, tenant: &TenantId, before: Option<&str>, slug: &str) {
        if before.is_some() {
            self.slugs().changed(before, Some((slug, tenant))).await;
        }
        self.tenant_changed(tenant).await;
    }

    /// Invalidates what is cached of `tenant`, in this and in every other process. Call it after the commit. It
    /// cannot fail: an entry that was missed expires within seconds.
    pub(crate) async fn tenant_changed(&self, tenant: &TenantId) {
        self.answers.forget(tenant);
        let Some(redis) = &self.redis else { return };
        let mut publish = cmd("PUBLISH");
        publish.arg(CHANNEL).arg(tenant.as_str());
        match redis.query_within::<i64>(CHANNEL, &publish, Resend::Safe, PUBLISH_LIMIT).await {
            Ok(_) => {}
            Err(QueueError::Deadline(_)) => {
                tracing::warn!(tenant.id = %tenant, "directory invalidation not sent in time");
            }
            Err(error) => {
                let error = jobs::error::report(&error);
                tracing::warn!(tenant.id = %tenant, error, "directory invalidation not sent");
            }
        }
    }
}

const KNOWN: Duration = Duration::from_secs(3_600);
/// TTL of negative entries and of entries written by a rename. Longer than any call, so that a stale read in flight
/// cannot replace a newer value.
const UNKNOWN: Duration = Duration::from_secs(30);
const REDIS_LIMIT: Duration = Duration::from_millis(500);

/// Cache of slugs in Redis, under `tenant:slug:{slug}`. Without Redis the rows are read each time.
#[derive(Clone)]
pub(crate) struct Slugs {
    redis: Option<RedisClient>,
}

impl Slugs {
    pub(crate) const fn new(redis: Option<RedisClient>) -> Self {
        Self { redis }
    }

    /// The tenant with this slug, from the cache or else from the rows.
    pub(crate) async fn tenant(&self, rows: &DirectoryRows, slug: &str) -> StoreResult<Option<TenantId>> {
        if let Some(known) = self.known(slug).await {
            return Ok(known.parse().ok());
        }
        let found = bounded("directory.tenant_of_slug", CALL, rows.tenant_of_slug(slug)).await?;
        let (value, ttl) = found.as_ref().map_or(("", UNKNOWN), |tenant| (tenant.as_str(), KNOWN));
        self.store(slug, value, ttl, true).await;
        Ok(found)
    }

    /// Records a rename. Both entries get a short TTL, because of two concurrent renames the earlier one may be
    /// recorded later.
    pub(crate) async fn changed(&self, before: Option<&str>, after: Option<(&str, &TenantId)>) {
        if let Some(before) = before {
            self.store(before, "", UNKNOWN, false).await;
        }
        if let Some((after, tenant)) = after {
            self.store(after, tenant.as_str(), UNKNOWN, false).await;
        }
    }

    /// The cached value: empty for a slug that no tenant has.
    async fn known(&self, slug: &str) -> Option<String> {
        let (key, mut get) = (key(slug), cmd("GET"));
        get.arg(&key);
        self.run::<Option<String>>(&key, &get).await?
    }

    /// Stores an entry. A value read from the rows (`is_answer`) may be older than what a rename has written, so it
    /// does not overwrite.
    async fn store(&self, slug: &str, tenant: &str, ttl: Duration, is_answer: bool) {
        let (key, mut set) = (key(slug), cmd("SET"));
        set.arg(&key).arg(tenant).arg("EX").arg(ttl.as_secs());
        if is_answer {
            set.arg("NX");
        }
        self.run::<Value>(&key, &set).await;
    }

    async fn run<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Option<T> {
        let redis = self.redis.as_ref()?;
        match redis.query_within(key, command, Resend::Safe, REDIS_LIMIT).await {
            Ok(answer) => Some(answer),
            Err(QueueError::Deadline(_)) => {
                tracing::warn!("names of tenants are not remembered: redis did not answer in time");
                None
            }
            Err(error) => {
                tracing::warn!(error = jobs::error::report(&error), "names of tenants are not remembered");
                None
            }
        }
    }
}

fn key(slug: &str) -> String {
    format!("tenant:slug:{slug}")
}

/// Receives invalidation messages for as long as it is polled.
pub(super) async fn listen(redis: RedisClient, answers: Answers) {
    let mut subscription = redis.subscribe(CHANNEL);
    loop {
        match subscription.next().await {
            SubscriptionEvent::Live => answers.set_invalidations_arrive(true),
            SubscriptionEvent::Message(tenant) => {
                let tenant = str::from_utf8(&tenant).ok().and_then(|tenant| tenant.parse().ok());
                if let Some(tenant) = tenant {
                    answers.forget(&tenant);
                }
            }
            SubscriptionEvent::Lost => {
                answers.set_invalidations_arrive(false);
                tracing::warn!("subscription to directory invalidations lost, connecting again");
            }
            SubscriptionEvent::Unreachable(QueueError::Deadline(_)) => {
                tracing::warn!("no directory invalidations: redis did not answer in time");
            }
            SubscriptionEvent::Unreachable(error) => {
                tracing::warn!(error = jobs::error::report(&error), "no directory invalidations");
            }
        }
    }
}
