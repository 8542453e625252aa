//! How much of each quota a tenant uses.

use std::collections::BTreeMap;

use axum::Json as JsonAnswer;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::plan::Quota;
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::Serialize;
use stores::TenantStores;
use stores::model::{GraphCounts, Usage};

use crate::problem::Problem;
use crate::request::{AnyMember, TenantCaller};
use crate::state::ApiState;

/// `GET …/usage`: of each quota how much is used, how much there may be, and when it begins anew.
pub(super) async fn show(
    State(app): State<ApiState>,
    who: TenantCaller<AnyMember>,
) -> Result<JsonAnswer<UsageView>, Problem> {
    let (catalog, now) = (who.stores.catalog(), app.clock().now());
    let tenant = catalog.tenant().await?.ok_or_else(Problem::not_found)?;
    let limits = app.plans().limits(&tenant.plan, &tenant.limits);
    app.bookkeeper().settle(&tenant.id).await;
    let recent = app.request_rate().recent(app.queue(), &tenant.id, &limits, now).await;
    let used = Used {
        usage: catalog.usage(now).await?,
        fullest: fullest_graph(&who.stores).await?,
        recent: recent.map_or(0, |recent| recent.used),
    };
    let row = |quota: Quota| {
        let row = QuotaUse {
            current: used.of(quota),
            maximum: limits.maximum(quota),
            unit: quota.unit(),
            resets_at: quota.resets_at(now),
        };
        (quota.to_string(), row)
    };
    let quotas = Quota::ALL.into_iter().map(row).collect();
    let derived_bytes = used.usage.derived_bytes;
    Ok(JsonAnswer(UsageView { id: tenant.id, plan: tenant.plan, derived_bytes, quotas }))
}

/// A tenant's usage.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub(super) struct UsageView {
    id: TenantId,
    plan: String,
    /// How much of `storage_bytes` was made of the documents: texts, chunks, what was extracted, the graph.
    derived_bytes: u64,
    /// By the name of the quota.
    quotas: BTreeMap<String, QuotaUse>,
}

/// How much of a quota is used.
#[derive(Debug, Serialize, JsonSchema)]
struct QuotaUse {
    current: u64,
    /// Null when there is no limit.
    maximum: Option<u64>,
    /// The unit of the count.
    unit: &'static str,
    /// When it begins anew; null when it is not counted by the calendar.
    resets_at: Option<DateTime<Utc>>,
}

struct Used {
    usage: Usage,
    fullest: GraphCounts,
    recent: u64,
}

impl Used {
    fn of(&self, quota: Quota) -> u64 {
        match quota {
            Quota::MaxDocuments => self.usage.documents,
            Quota::StorageBytes => self.usage.storage_bytes,
            Quota::Kbs => self.usage.kbs,
            Quota::Members => self.usage.members,
            Quota::DailyJobs => self.usage.daily_jobs,
            Quota::MaxSchedules => self.usage.schedules,
            Quota::MaxApiKeys => self.usage.api_keys,
            Quota::MaxWebhooks => self.usage.webhooks,
            Quota::IdempotencyKeys => self.usage.idempotency_keys,
            Quota::ApiCallsPerDay => self.usage.api_calls.day,
            Quota::ApiCallsPerMonth => self.usage.api_calls.month,
            Quota::EntitiesPerKb => self.fullest.entities,
            Quota::RelationsPerKb => self.fullest.relations,
            Quota::RequestsPerMinute => self.recent,
            // No route answers queries yet.
            Quota::ConcurrentQueries => 0,
        }
    }
}

/// A quota for each knowledge base is reported for the fullest one, which reaches it first.
async fn fullest_graph(stores: &TenantStores) -> Result<GraphCounts, Problem> {
    let mut fullest = GraphCounts::default();
    for kb in stores.catalog().kbs().await? {
        let counts = stores.index().counts(&kb).await?;
        fullest.chunks = fullest.chunks.max(counts.chunks);
        fullest.entities = fullest.entities.max(counts.entities);
        fullest.relations = fullest.relations.max(counts.relations);
    }
    Ok(fullest)
}
