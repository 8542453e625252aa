//! A tenant directory that answers from memory.

use std::collections::HashMap;

use jobs::tenant::{
    Actor, DirectoryError, KbId, Permissions, Role, TenantDirectory, TenantId, TenantRecord, TenantStatus,
};

use super::workload::tenant;

pub(crate) struct Roster {
    tenants: HashMap<TenantId, TenantRecord>,
    kb: KbId,
}

impl Roster {
    /// Knows the first `count` tenants.
    pub(crate) fn of(count: usize) -> Self {
        let record = TenantRecord { status: TenantStatus::Active, epoch: 0 };
        Self { tenants: (0..count).map(|index| (tenant(index), record)).collect(), kb: KbId::first() }
    }
}

#[async_trait::async_trait]
impl TenantDirectory for Roster {
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, DirectoryError> {
        Ok(self.tenants.get(tenant).copied())
    }

    async fn kb_exists(&self, tenant: &TenantId, kb: &KbId) -> Result<bool, DirectoryError> {
        Ok(self.tenants.contains_key(tenant) && *kb == self.kb)
    }

    async fn permissions(
        &self,
        tenant: &TenantId,
        _: Option<&KbId>,
        _: &Actor,
        role: Role,
    ) -> Result<Permissions, DirectoryError> {
        Ok(if self.tenants.contains_key(tenant) { role.permissions() } else { Permissions::NONE })
    }
}
