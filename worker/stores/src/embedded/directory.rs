//! The directory's rows in `SQLite`.

use std::sync::Arc;

use jobs::tenant::{ApiKeyId, KbId, TenantId, TenantRecord};

use super::catalog::{KB_SELECT, KbRow};
use super::column::{moment, parsed, unsigned};
use super::fault::{Fault, call};
use super::file::SqliteFile;
use crate::deadline::CALL;
use crate::directory::{DirectoryRows, MemberRecord};
use crate::model::{ApiKeyRecord, Kb, TenantPlan};
use crate::ports::StoreResult;

/// Reads the rows of one named tenant at a time; a reader cannot change them.
pub(super) struct SqliteDirectory {
    file: Arc<SqliteFile>,
}

impl SqliteDirectory {
    pub(super) fn new(file: Arc<SqliteFile>) -> Self {
        Self { file }
    }

    async fn tenant_row(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, Fault> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT status, epoch FROM tenants WHERE tenant_id = ?")
                .bind(tenant.as_str())
                .fetch_optional(self.file.read())
                .await?;
        let Some((status, epoch)) = row else { return Ok(None) };
        let status = parsed(&status, "tenants.status")?;
        Ok(Some(TenantRecord { status, epoch: unsigned(epoch, "tenants.epoch")? }))
    }

    async fn plan_row(&self, tenant: &TenantId) -> Result<Option<TenantPlan>, Fault> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT plan, limits FROM tenants WHERE tenant_id = ?")
                .bind(tenant.as_str())
                .fetch_optional(self.file.read())
                .await?;
        let Some((plan, limits)) = row else { return Ok(None) };
        Ok(Some(TenantPlan { plan, limits: serde_json::from_str(&limits)? }))
    }

    async fn kb_row(&self, tenant: &TenantId, kb: &KbId) -> Result<Option<Kb>, Fault> {
        let row: Option<KbRow> = sqlx::query_as(KB_SELECT)
            .bind(tenant.as_str())
            .bind(kb.as_str())
            .fetch_optional(self.file.read())
            .await?;
        row.map(Kb::try_from).transpose()
    }

    async fn api_key_row(&self, tenant: &TenantId, key: &ApiKeyId) -> Result<Option<ApiKeyRecord>, Fault> {
        let row: Option<(String, String, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT secret_sha256, role, expires_at_us, revoked_at_us FROM api_keys
             WHERE tenant_id = ? AND key_id = ?",
        )
        .bind(tenant.as_str())
        .bind(key.as_str())
        .fetch_optional(self.file.read())
        .await?;
        let Some((secret_sha256, role, expires, revoked)) = row else { return Ok(None) };
        Ok(Some(ApiKeyRecord {
            secret_sha256,
            role: parsed(&role, "api_keys.role")?,
            expires_at: expires.map(|us| moment(us, "api_keys.expires_at_us")).transpose()?,
            revoked_at: revoked.map(|us| moment(us, "api_keys.revoked_at_us")).transpose()?,
        }))
    }

    async fn member_row(&self, tenant: &TenantId, subject: &str) -> Result<Option<MemberRecord>, Fault> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT role, status FROM members WHERE tenant_id = ? AND subject = ?")
                .bind(tenant.as_str())
                .bind(subject)
                .fetch_optional(self.file.read())
                .await?;
        let Some((role, status)) = row else { return Ok(None) };
        Ok(Some(MemberRecord { role: parsed(&role, "members.role")?, removed: status == "removed" }))
    }

    async fn slug_row(&self, slug: &str) -> Result<Option<TenantId>, Fault> {
        let row: Option<String> = sqlx::query_scalar("SELECT tenant_id FROM slugs WHERE slug = ?")
            .bind(slug)
            .fetch_optional(self.file.read())
            .await?;
        row.map(|tenant| parsed(&tenant, "slugs.tenant_id")).transpose()
    }

    async fn creator_rows(&self, tenant: &TenantId, name: &str) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar("SELECT created_by FROM schedules WHERE tenant_id = ? AND name = ?")
            .bind(tenant.as_str())
            .bind(name)
            .fetch_all(self.file.read())
            .await?)
    }
}

#[async_trait::async_trait]
impl DirectoryRows for SqliteDirectory {
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>> {
        call("directory.tenant", CALL, self.tenant_row(tenant)).await
    }

    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>> {
        call("directory.plan", CALL, self.plan_row(tenant)).await
    }

    async fn kb(&self, tenant: &TenantId, kb: &KbId) -> StoreResult<Option<Kb>> {
        call("directory.kb", CALL, self.kb_row(tenant, kb)).await
    }

    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>> {
        call("directory.api_key", CALL, self.api_key_row(tenant, key)).await
    }

    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>> {
        call("directory.tenant_of_slug", CALL, self.slug_row(slug)).await
    }

    async fn member(&self, tenant: &TenantId, subject: &str) -> StoreResult<Option<MemberRecord>> {
        call("directory.member", CALL, self.member_row(tenant, subject)).await
    }

    async fn schedule_creators(&self, tenant: &TenantId, name: &str) -> StoreResult<Vec<String>> {
        call("directory.schedule_creators", CALL, self.creator_rows(tenant, name)).await
    }

    async fn ping(&self) -> StoreResult<()> {
        let ping = async {
            let _: i64 = sqlx::query_scalar("SELECT 1").fetch_one(self.file.read()).await?;
            Ok(())
        };
        call("directory.ping", CALL, ping).await
    }
}
