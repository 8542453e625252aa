use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{Job, Priority};
use crate::tenant::{ApiKeyId, Permission, TenantStatus};

/// Prepares every store for a new tenant, makes its first knowledge base and API key, and activates it.
///
/// Every step is "create if absent", so the job may stop anywhere and run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionTenant {
    /// The key that the caller was given when the tenant was accepted.
    pub api_key: FirstApiKey,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstApiKey {
    /// The part of the key that finds its row.
    pub id: ApiKeyId,
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_sha256: String,
}

impl Job for ProvisionTenant {
    const TYPE: &'static str = "tenant.provision";
    const QUEUE: &'static str = "tenants";
    const PERMISSION: Permission = Permission::TenantManage;
    const RUNS_WHILE: TenantStatus = TenantStatus::Provisioning;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const PRIORITY: Priority = Priority::High;
}
