//! Which tenant a word in a host name means, remembered in Redis for every process.

use std::time::Duration;

use jobs::tenant::TenantId;
use redis::Cmd;

use crate::cache::Commands;
use crate::catalog::DirectoryRows;
use crate::deadline::{CALL, within};
use crate::ports::StoreResult;

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
