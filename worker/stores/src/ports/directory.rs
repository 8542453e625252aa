use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, TenantDirectory, TenantId};

use super::StoreResult;
use crate::model::{ApiKeyRecord, Kb, Page, Standing, Tenant, TenantFilter, TenantPlan};

/// The one reader across tenants. It answers questions about one named tenant at a time, lists tenants for the
/// operator, and changes nothing that is a tenant's.
#[async_trait::async_trait]
pub trait Directory: TenantDirectory {
    /// The plan of this tenant, and what it may use beyond it.
    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>>;

    /// What is known of an API key of this tenant.
    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>>;

    /// What a person is in this tenant.
    async fn standing(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Standing>;

    /// A knowledge base of this tenant, closed or not.
    async fn kb(&self, tenant: &TenantId, kb: &jobs::tenant::KbId) -> StoreResult<Option<Kb>>;

    /// The tenant that is called `slug` in host names. Remembered for an hour, "nobody" for 30 s; a change shows at
    /// once.
    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>>;

    /// Tenants by id, beginning after `after`. At most `limit` (1 to 1,000). Read as they are now.
    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Page<Tenant>>;

    /// Decides whether jobs of a queue flow, for all tenants.
    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()>;

    /// Forgets what is cached of a tenant, because it changed.
    async fn invalidate(&self, tenant: &TenantId);

    /// Whether the catalog answers.
    async fn ping(&self) -> StoreResult<()>;
}
