use std::collections::BTreeMap;

use jobs::queue::Flow;
use jobs::tenant::TenantId;

use super::StoreResult;
use crate::model::Tenant;

/// Reads what the queue has to know of every tenant, and nothing else of theirs.
#[async_trait::async_trait]
pub trait SettingsRelay: Send + Sync {
    /// Tenants whose settings changed since the queue was told, by id. At most `limit`.
    async fn settings_unapplied(&self, limit: u32) -> StoreResult<Vec<Tenant>>;

    /// All tenants, by id, beginning after `after`. At most `limit`.
    async fn settings_all(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<Tenant>>;

    /// Those of `tenants` that there are.
    async fn settings_of(&self, tenants: &[TenantId]) -> StoreResult<Vec<Tenant>>;

    /// What was decided about the flow of queues, for all tenants.
    async fn queue_flows(&self) -> StoreResult<BTreeMap<String, Flow>>;

    /// Notes that the queue knows these settings. Returns whether they are still the tenant's; if not, nothing
    /// changes.
    async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool>;
}
