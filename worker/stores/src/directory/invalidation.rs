//! Telling every process that a tenant changed, and hearing of it.

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

/// The channel on which tenant ids are called out.
pub(super) const CHANNEL: &str = "tenantry:directory";
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);

/// Tells every process that what the directory knows of a tenant changed.
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

    /// News that nobody else has to hear.
    #[cfg(feature = "test-support")]
    pub(crate) fn local(answers: Answers) -> Self {
        answers.set_news_arrive(true);
        Self { answers, redis: None }
    }

    /// The words that tenants are called by, and who has to hear of changes.
    pub(crate) fn slugs(&self) -> Slugs {
        Slugs::new(self.redis.clone())
    }

    /// Tells every process of a new tenant, which is called by its id.
    pub(crate) async fn tenant_made(&self, tenant: &TenantId) {
        self.slugs().changed(None, Some((tenant.as_str(), tenant))).await;
        self.tenant_changed(tenant).await;
    }

    /// Tells every process that a tenant's settings changed and that it is called `slug` now, and no longer `before`,
    /// if it was called otherwise. Call it after the commit.
    pub(crate) async fn tenant_put(&self, tenant: &TenantId, before: Option<&str>, slug: &str) {
        if before.is_some() {
            self.slugs().changed(before, Some((slug, tenant))).await;
        }
        self.tenant_changed(tenant).await;
    }

    /// Forgets what is cached of `tenant`, here and in every other process. Call it after the commit; it
    /// cannot fail, because an answer that nobody forgets is too old within seconds anyway.
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
/// How long "nobody" and what a change says is believed, and how long an old answer that is on its way cannot overwrite
/// a change: longer than
/// any call may take.
const UNKNOWN: Duration = Duration::from_secs(30);
const REDIS_LIMIT: Duration = Duration::from_millis(500);

/// The words in `tenant:slug:{slug}`. Redis only saves a look at the rows: without it they are asked.
#[derive(Clone)]
pub(crate) struct Slugs {
    redis: Option<Commands>,
}

impl Slugs {
    pub(crate) const fn new(redis: Option<Commands>) -> Self {
        Self { redis }
    }

    /// The tenant that is called `slug`.
    pub(crate) async fn tenant(&self, rows: &DirectoryRows, slug: &str) -> StoreResult<Option<TenantId>> {
        if let Some(known) = self.known(slug).await {
            return Ok(known.parse().ok());
        }
        let found = within("directory.tenant_of_slug", CALL, rows.tenant_of_slug(slug)).await?;
        let (value, ttl) = found.as_ref().map_or(("", UNKNOWN), |tenant| (tenant.as_str(), KNOWN));
        self.store(slug, value, ttl, true).await;
        Ok(found)
    }

    /// A tenant is called `after` now and no longer `before`. Neither is believed for long: of two changes at once the
    /// earlier one may be told later.
    pub(crate) async fn changed(&self, before: Option<&str>, after: Option<(&str, &TenantId)>) {
        if let Some(before) = before {
            self.store(before, "", UNKNOWN, false).await;
        }
        if let Some((after, tenant)) = after {
            self.store(after, tenant.as_str(), UNKNOWN, false).await;
        }
    }

    /// Empty when nobody is called so.
    async fn known(&self, slug: &str) -> Option<String> {
        let mut get = redis::cmd("GET");
        get.arg(key(slug));
        self.run::<Option<String>>(&get).await?
    }

    /// An answer from the rows may be older than what a change has written: it does not overwrite.
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

/// Listens for as long as it is polled, and connects again whenever the connection is lost: to any node of a
/// cluster, because all of them pass the news on.
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

/// Forgets each tenant that is called out, until the connection ends or a ping finds it dead.
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
