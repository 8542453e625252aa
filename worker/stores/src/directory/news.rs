//! Telling every process that a tenant changed.

use std::time::Duration;

use jobs::tenant::TenantId;

use super::{Answers, Slugs};
use crate::cache::Commands;

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
