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

    /// Notes that the queue knows these settings. Returns whether they are still the tenant's; if not, nothing
    /// changes.
    async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool>;
}
