use jobs::plan::Limits;
use jobs::tenant::{TenantId, TenantStatus};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::Tenant;

use crate::server::ApiState;

/// A tenant and what it may use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantSettingsView {
    id: TenantId,
    /// What people call it.
    name: String,
    /// The word in its subdomain.
    slug: String,
    plan: String,
    status: TenantStatus,
    /// What it may use.
    limits: Limits,
    /// What of that is not as its plan says.
    beyond_plan: Limits,
}

impl TenantSettingsView {
    pub(super) fn of(app: &ApiState, tenant: Tenant) -> Self {
        let limits = app.plans().limits(&tenant.plan, &tenant.limits);
        let Tenant { id, name, slug, plan, status, limits: beyond_plan, .. } = tenant;
        Self { id, name, slug, plan, status, limits, beyond_plan }
    }
}

/// A tenant that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangedTenant {
    #[serde(flatten)]
    pub(super) tenant: TenantSettingsView,
    /// Whether the queue knows already. If not, a worker tells it.
    pub(super) applied: bool,
}

/// A tenant, what it may use, and how much of that its jobs use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantLimits {
    #[serde(flatten)]
    pub(super) tenant: TenantSettingsView,
    pub(super) usage: QueueUse,
}

/// What a tenant's jobs use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct QueueUse {
    /// Jobs that run.
    pub(super) active: u64,
    /// Jobs that wait, those that wait for their time included.
    pub(super) backlog_jobs: u64,
    /// Jobs that wait for their time.
    pub(super) scheduled_jobs: u64,
}
