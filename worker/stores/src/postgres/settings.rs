//! What the queue has to know of tenants, read as `tenantry_directory`.

use jobs::tenant::TenantId;

use super::catalog::{read_tenant, settings_applied};
use super::pool::{Postgres, Reader};
use super::tx::Sql;
use crate::model::Tenant;
use crate::ports::{SettingsRelay, StoreResult};

/// Every tenant's own row and what it is called, and nothing else of theirs.
pub(crate) struct PgSettings {
    postgres: Postgres,
}

impl PgSettings {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    async fn all(&self, operation: &'static str, sql: Sql<'_>) -> StoreResult<Vec<Tenant>> {
        let mut tx = self.postgres.reader_tx(Reader::Directory, operation).await?;
        let tenants = tx.all(sql, read_tenant).await?;
        tx.commit().await?;
        Ok(tenants)
    }
}

#[async_trait::async_trait]
impl SettingsRelay for PgSettings {
    async fn settings_unapplied(&self, limit: u32) -> StoreResult<Vec<Tenant>> {
        let sql = sqlx::query(
            "select tenants.*, slug from tenants join slugs using (tenant_id) \
             where is_current and applied_revision < revision order by tenant_id limit $1",
        );
        self.all("settings.unapplied", sql.bind(i64::from(limit))).await
    }

    async fn settings_all(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<Tenant>> {
        let sql = sqlx::query(
            "select tenants.*, slug from tenants join slugs using (tenant_id) \
             where tenant_id > $1 and is_current and deleted_at is null order by tenant_id limit $2",
        );
        let after = after.map_or("", TenantId::as_str);
        self.all("settings.all", sql.bind(after).bind(i64::from(limit))).await
    }

    async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool> {
        settings_applied(&self.postgres.tenant(&tenant.id), tenant.revision).await
    }
}
