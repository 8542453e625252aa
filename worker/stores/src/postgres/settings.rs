//! What the queue has to know of tenants, read as `tenantry_directory`.

use std::collections::BTreeMap;

use jobs::queue::Flow;
use jobs::tenant::TenantId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

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

    async fn settings_of(&self, tenants: &[TenantId]) -> StoreResult<Vec<Tenant>> {
        let sql = sqlx::query(
            "select tenants.*, slug from tenants join slugs using (tenant_id) \
             where tenant_id = any ($1) and is_current and deleted_at is null",
        );
        let names: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        self.all("settings.of", sql.bind(names)).await
    }

    async fn queue_flows(&self) -> StoreResult<BTreeMap<String, Flow>> {
        let sql = sqlx::query("select queue, flow from tenantry.queue_flows");
        let mut tx = self.postgres.reader_tx(Reader::Identity, "settings.queue_flows").await?;
        let flows = tx.all(sql, read_flow).await?;
        tx.commit().await?;
        Ok(flows.into_iter().collect())
    }

    async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool> {
        settings_applied(&self.postgres.tenant(&tenant.id), tenant.revision).await
    }
}

fn read_flow(row: &PgRow) -> sqlx::Result<(String, Flow)> {
    let flow: String = row.try_get("flow")?;
    let flow = Flow::from_name(&flow);
    let flow = flow.ok_or_else(|| sqlx::Error::Decode("queue_flows.flow is none that there is".into()))?;
    Ok((row.try_get("queue")?, flow))
}
