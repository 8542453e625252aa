//! Invalidation of cached answers, within this process and across processes by Redis pub/sub.

use super::Answers;
use std::time::Duration;

use futures::StreamExt as _;
use jobs::tenant::TenantId;
use redis::Cmd;
use redis::aio::{PubSubSink, PubSubStream};

use crate::cache::Commands;
use crate::catalog::DirectoryRows;
use crate::deadline::{CALL, within};
use crate::ports::StoreResult;

/// The channel on which the ids of changed tenants are published.
pub(super) const CHANNEL: &str = "tenantry:directory";
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);

/// Invalidates what directory caches hold of a tenant, in this and in every other process.
#[derive(Clone)]
pub(crate) struct DirectoryNews {
    answers: Answers,
    /// `None` when there are no other processes.
    redis: Option<Commands>,
}

impl DirectoryNews {
    pub(crate) fn new(answers: Answers, redis: Commands) -> Self {
        Self { answers, redis: Some(redis) }
    }

    /// Invalidation within this process only.
    #[cfg(feature = "test-support")]
    pub(crate) fn local(answers: Answers) -> Self {
        answers.set_news_arrive(true);
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
        let Some(mut redis) = self.redis.clone() else { return };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(CHANNEL).arg(tenant.as_str());
        match tokio::time::timeout(PUBLISH_LIMIT, publish.query_async::<i64>(&mut redis)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(tenant.id = %tenant, %error, "directory news not sent"),
            Err(_) => tracing::warn!(tenant.id = %tenant, "directory news not sent in time"),
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
    redis: Option<Commands>,
}

impl Slugs {
    pub(crate) const fn new(redis: Option<Commands>) -> Self {
        Self { redis }
    }

    /// The tenant with this slug, from the cache or else from the rows.
    pub(crate) async fn tenant(&self, rows: &DirectoryRows, slug: &str) -> StoreResult<Option<TenantId>> {
        if let Some(known) = self.known(slug).await {
            return Ok(known.parse().ok());
        }
        let found = within("directory.tenant_of_slug", CALL, rows.tenant_of_slug(slug)).await?;
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
        let mut get = redis::cmd("GET");
        get.arg(key(slug));
        self.run::<Option<String>>(&get).await?
    }

    /// Stores an entry. A value read from the rows (`is_answer`) may be older than what a rename has written, so it
    /// does not overwrite.
    async fn store(&self, slug: &str, tenant: &str, ttl: Duration, is_answer: bool) {
        let mut set = redis::cmd("SET");
        set.arg(key(slug)).arg(tenant).arg("EX").arg(ttl.as_secs());
        if is_answer {
            set.arg("NX");
        }
        self.run::<redis::Value>(&set).await;
    }

    async fn run<T: redis::FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut redis = self.redis.clone()?;
        match tokio::time::timeout(REDIS_LIMIT, command.query_async(&mut redis)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!(%error, "names of tenants are not remembered");
                None
            }
            Err(_) => {
                tracing::warn!("names of tenants are not remembered: redis did not answer in time");
                None
            }
        }
    }
}

fn key(slug: &str) -> String {
    format!("tenant:slug:{slug}")
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Receives invalidation messages for as long as it is polled, and reconnects whenever the connection is lost: to
/// any node of a cluster, because all of them forward published messages.
pub(super) async fn listen(nodes: Vec<redis::Client>, answers: Answers) {
    let mut wait = RETRY_FIRST;
    for node in nodes.iter().cycle() {
        match tokio::time::timeout(CONNECT_LIMIT, subscribe(node)).await {
            Ok(Ok((sink, stream))) => {
                answers.set_news_arrive(true);
                wait = RETRY_FIRST;
                hear(sink, stream, &answers).await;
                answers.set_news_arrive(false);
                tracing::warn!("directory news lost, connecting again");
            }
            Ok(Err(error)) => tracing::warn!(%error, "no directory news"),
            Err(_) => tracing::warn!("no directory news: redis did not answer in time"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

async fn subscribe(client: &redis::Client) -> redis::RedisResult<(PubSubSink, PubSubStream)> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(CHANNEL).await?;
    Ok(subscription.split())
}

/// Invalidates each tenant that is published, until the connection ends or a ping finds it dead.
async fn hear(mut sink: PubSubSink, mut stream: PubSubStream, answers: &Answers) {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return };
                let text: Result<String, _> = message.get_payload();
                if let Some(tenant) = text.ok().and_then(|text| text.parse().ok()) {
                    answers.forget(&tenant);
                }
            }
            _ = ping.tick() => {
                let answer = tokio::time::timeout(PING_LIMIT, sink.ping::<redis::Value>());
                if !matches!(answer.await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}
