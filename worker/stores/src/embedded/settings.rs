//! What the queue has to know of tenants, in `SQLite`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobs::queue::Flow;
use jobs::tenant::TenantId;

use super::catalog::{TenantRow, settings_applied};
use super::fault::{Fault, call};
use super::file::SqliteFile;
use crate::deadline::CALL;
use crate::model::Tenant;
use crate::ports::{SettingsRelay, StoreResult};

/// Every tenant's own row and what it is called, and nothing else of theirs.
pub(super) struct SqliteSettings {
    file: Arc<SqliteFile>,
}

impl SqliteSettings {
    pub(super) fn new(file: Arc<SqliteFile>) -> Self {
        Self { file }
    }

    async fn named(&self, tenants: &[TenantId]) -> Result<Vec<Tenant>, Fault> {
        let names: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
        let rows: Vec<TenantRow> = sqlx::query_as(
            "SELECT tenants.*, slug FROM tenants JOIN slugs USING (tenant_id)
             WHERE tenant_id IN (SELECT value FROM json_each(?)) AND is_current AND deleted_at_us IS NULL",
        )
        .bind(serde_json::to_string(&names)?)
        .fetch_all(self.file.read())
        .await?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    async fn flows(&self) -> Result<BTreeMap<String, Flow>, Fault> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT queue, flow FROM queue_flows").fetch_all(self.file.read()).await?;
        let read = |(queue, flow): (String, String)| {
            Flow::from_name(&flow).map(|flow| (queue, flow)).ok_or(Fault::Column("queue_flows.flow"))
        };
        rows.into_iter().map(read).collect()
    }

    async fn page(&self, sql: &'static str, after: &str, limit: u32) -> Result<Vec<Tenant>, Fault> {
        let rows: Vec<TenantRow> =
            sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.file.read()).await?;
        rows.into_iter().map(Tenant::try_from).collect()
    }
}

#[async_trait::async_trait]
impl SettingsRelay for SqliteSettings {
    async fn settings_unapplied(&self, limit: u32) -> StoreResult<Vec<Tenant>> {
        let sql = "SELECT tenants.*, slug FROM tenants JOIN slugs USING (tenant_id)
                   WHERE tenant_id > ? AND is_current AND applied_revision < revision
                   ORDER BY tenant_id LIMIT ?";
        let page = self.page(sql, "", limit);
        call("settings.settings_unapplied", CALL, page).await
    }

    async fn settings_all(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<Tenant>> {
        let sql = "SELECT tenants.*, slug FROM tenants JOIN slugs USING (tenant_id)
                   WHERE tenant_id > ? AND is_current AND deleted_at_us IS NULL
                   ORDER BY tenant_id LIMIT ?";
        let page = self.page(sql, after.map_or("", TenantId::as_str), limit);
        call("settings.settings_all", CALL, page).await
    }

    async fn settings_of(&self, tenants: &[TenantId]) -> StoreResult<Vec<Tenant>> {
        call("settings.settings_of", CALL, self.named(tenants)).await
    }

    async fn queue_flows(&self) -> StoreResult<BTreeMap<String, Flow>> {
        call("settings.queue_flows", CALL, self.flows()).await
    }

    async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool> {
        let applied = settings_applied(&self.file, &tenant.id, tenant.revision);
        call("settings.settings_applied", CALL, applied).await
    }
}
