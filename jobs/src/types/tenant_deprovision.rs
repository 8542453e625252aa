use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{Job, Priority};
use crate::tenant::{Permission, TenantStatus};

/// Empties every store of the tenant. Its id stays reserved, so that no later tenant can get it.
///
/// Every step is idempotent, so the job may be interrupted anywhere and run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeprovisionTenant {}

impl Job for DeprovisionTenant {
    const TYPE: &'static str = "tenant.deprovision";
    const QUEUE: &'static str = "tenants";
    const PERMISSION: Permission = Permission::TenantManage;
    const RUNS_WHILE: TenantStatus = TenantStatus::Deprovisioning;
    const NEEDS_KB: bool = false;
    const TIMEOUT: Duration = Duration::from_secs(3600);
    const PRIORITY: Priority = Priority::High;
}
