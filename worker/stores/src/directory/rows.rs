use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, KbId, Role, TenantId, TenantRecord};

use crate::model::{ApiKeyRecord, Cancellations, JobMark, Kb, Tenant, TenantFilter, TenantPlan};
use crate::ports::StoreResult;

/// A member of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) role: Role,
    /// Whether the member was removed since: the row stays, so that a token from before does not work on.
    pub(crate) removed: bool,
    /// Whether the row is from before identities named their provider, and was given to the account of that name.
    pub(crate) is_accounts_now: bool,
}

/// The catalog's rows that the directory answers from, read as they are now.
#[async_trait::async_trait]
pub(crate) trait DirectoryRows: Send + Sync + 'static {
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>>;

    /// When work of the tenant was cancelled.
    async fn cancellations(&self, tenant: &TenantId) -> StoreResult<Option<Cancellations>>;

    /// What was said about a single job, and when.
    async fn job_mark(&self, tenant: &TenantId, job: JobId) -> StoreResult<Option<(JobMark, DateTime<Utc>)>>;

    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()>;

    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>>;

    async fn kb(&self, tenant: &TenantId, kb: &KbId) -> StoreResult<Option<Kb>>;

    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>>;

    /// The tenant that is called `slug` in host names.
    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>>;

    /// The row of exactly this identity.
    async fn member(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Option<MemberRecord>>;

    /// Who made the schedule called `name` of a knowledge base, as the text of a [`jobs::tenant::Actor`].
    async fn schedule_creator(&self, tenant: &TenantId, kb: &KbId, name: &str)
    -> StoreResult<Option<String>>;

    /// Tenants by id, beginning after `after`. At most `limit`.
    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<Tenant>>;

    /// Whether the catalog answers.
    async fn ping(&self) -> StoreResult<()>;
}
