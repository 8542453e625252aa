use std::collections::HashMap;

use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, TenantDirectory, TenantId};
use uuid::Uuid;

use super::StoreResult;
use crate::model::{
    ApiKeyRecord, AuditCheck, AuditEntry, AuditFilter, Kb, LoggedAction, Page, Standing, Tenant,
    TenantCursor, TenantFilter, TenantOrder, TenantPlan, TenantStatistics,
};

/// The directory: reads tenants, keys, members and permissions, of one named tenant at a time, and lists tenants
/// for the operator. Changes nothing of a tenant's. Answers may be some seconds old.
#[async_trait::async_trait]
pub trait Directory: TenantDirectory {
    /// The tenant's plan and its own limits; `None` when there is no such tenant.
    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>>;

    /// An API key of this tenant, revoked and expired ones included; `None` when it is unknown.
    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>>;

    /// A person's membership in this tenant.
    async fn standing(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Standing>;

    /// A knowledge base of this tenant, closed or not.
    async fn kb(&self, tenant: &TenantId, kb: &jobs::tenant::KbId) -> StoreResult<Option<Kb>>;

    /// The tenant with this slug. Cached for an hour, a negative answer for 30 s; a change invalidates at once.
    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>>;

    /// Tenants by id, beginning after `after`. At most `limit` (1 to 1,000). Not cached.
    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Page<Tenant>>;

    /// Tenants in an order, beginning after `after`. At most `limit` (1 to 1,000). Not cached.
    async fn tenants_sorted(
        &self,
        filter: &TenantFilter,
        order: TenantOrder,
        after: Option<&TenantCursor>,
        limit: u32,
    ) -> StoreResult<Page<Tenant>>;

    /// Tenants in an order, `limit` (1 to 1,000) after the first `offset`, and how many there are in all. Not cached.
    async fn tenants_numbered(
        &self,
        filter: &TenantFilter,
        order: TenantOrder,
        offset: u64,
        limit: u32,
    ) -> StoreResult<(Vec<Tenant>, u64)>;

    /// How much each of `tenants` has; one that does not exist is left out. Its cost grows with their documents. Not
    /// cached.
    async fn tenant_statistics(
        &self,
        tenants: &[TenantId],
    ) -> StoreResult<HashMap<TenantId, TenantStatistics>>;

    /// Those of `tenants` that a filter leaves, by id. Not cached.
    async fn tenants_among(&self, tenants: &[TenantId], filter: &TenantFilter) -> StoreResult<Vec<Tenant>>;

    /// Tenants that are not simply active: suspended, or paused or drained at some time, by id. At most `limit`. Not
    /// cached.
    async fn tenants_held(&self, limit: u32) -> StoreResult<Vec<TenantId>>;

    /// Pauses or resumes a queue for all tenants.
    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()>;

    /// Adds an entry to the operator's audit log: an action about no tenant in particular. Returns whether it is new.
    async fn audit_append(&self, entry: &AuditEntry) -> StoreResult<bool>;

    /// Checks that the operator's audit log is as it was written, up to entry number `last`.
    async fn audit_check(&self, last: u64) -> StoreResult<AuditCheck>;

    /// The audit logs of all tenants and the operator's as one, newest first, after the entry `after`. At most `limit`
    /// (1 to 1,000). Not cached.
    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Page<LoggedAction>>;

    /// Invalidates what is cached of a tenant, because it changed.
    async fn invalidate(&self, tenant: &TenantId);

    /// Whether the catalog answers.
    async fn ping(&self) -> StoreResult<()>;
}
