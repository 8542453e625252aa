use std::time::Duration;

use axum::http::Extensions;
use chrono::{DateTime, Utc};
use jobs::plan::{Limits, Quota};
use jobs::tenant::TenantId;
use stores::TenantStores;
use stores::model::{OverQuota, RateTaken};
use tokio_util::sync::CancellationToken;

use super::calls::CallCounter;
use super::headers::{Rate, RateSlot};
use super::rate::RateLimiter;
use crate::problem::Problem;

/// How often counted requests are written.
const FLUSH: Duration = Duration::from_secs(1);
/// How long the last ones are waited for at the end.
const LAST_FLUSH: Duration = Duration::from_secs(10);

/// Lets a tenant's requests through that are not too many.
#[derive(Default)]
pub(crate) struct Meter {
    rate: RateLimiter,
    calls: CallCounter,
}

impl Meter {
    /// Counts a request, and notes for its answer how many more there may be.
    ///
    /// # Errors
    /// When the tenant sends more than it may.
    pub(crate) async fn request(
        &self,
        stores: &TenantStores,
        tenant: &TenantId,
        limits: &Limits,
        answer: &Extensions,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        if let Some(limit) = limits.maximum(Quota::RequestsPerMinute)
            && let Some(taken) = self.rate.take(stores, limit, 1, now).await
        {
            if let Some(slot) = answer.get::<RateSlot>() {
                slot.set(Rate { limit, taken });
            }
            if !taken.taken {
                let over = OverQuota { quota: Quota::RequestsPerMinute, current: taken.used, maximum: limit };
                return Err(Problem::over_quota(&over, now).retry_after_s(taken.frees_in_s.max(1)));
            }
        }
        let counted = self.calls.count(stores, tenant, limits.maximum(Quota::ApiCallsPerMonth), now).await;
        counted.map_err(|over| Problem::over_quota(&over, now))
    }

    /// How many requests the tenant sent within the last 60 seconds; `None` while nobody can say.
    pub(crate) async fn recent(
        &self,
        stores: &TenantStores,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Option<RateTaken> {
        let limit = limits.maximum(Quota::RequestsPerMinute)?;
        self.rate.take(stores, limit, 0, now).await
    }

    /// Writes what was counted of the tenant, so that the catalog knows it.
    pub(crate) async fn settle(&self, tenant: &TenantId) {
        self.calls.flush(Some(tenant)).await;
    }

    /// Writes what was counted, again and again until `stop` fires.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FLUSH)).await.is_some() {
            self.calls.flush(None).await;
        }
    }

    /// Writes what is left, when no more requests come.
    pub(crate) async fn finish(&self) {
        if tokio::time::timeout(LAST_FLUSH, self.calls.flush(None)).await.is_err() {
            tracing::warn!("the catalog is slow: the last requests were not counted");
        }
    }
}
