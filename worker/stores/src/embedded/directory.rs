//! The directory's rows in `SQLite`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, KbId, Role, TenantId, TenantRecord, TenantStatus};

use super::catalog::{KB_SELECT, KbRow, TenantRow};
use super::column::{moment, parsed, unsigned};
use super::fault::{Fault, call};
use super::file::SqliteFile;
use crate::deadline::CALL;
use crate::directory::{DirectoryRows, MemberRecord};
use crate::model::{ApiKeyRecord, Cancellations, JobMark, Kb, Tenant, TenantFilter, TenantPlan, allowed};
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
        let row: Option<SecretRow> =
            sqlx::query_as("SELECT * FROM api_keys WHERE tenant_id = ? AND key_id = ?")
                .bind(tenant.as_str())
                .bind(key.as_str())
                .fetch_optional(self.file.read())
                .await?;
        row.map(ApiKeyRecord::try_from).transpose()
    }

    async fn member_row(
        &self,
        tenant: &TenantId,
        identity: &Identity,
    ) -> Result<Option<MemberRecord>, Fault> {
        let row: Option<(String, String, i64)> =
            sqlx::query_as("SELECT role, status, revision FROM members WHERE tenant_id = ? AND identity = ?")
                .bind(tenant.as_str())
                .bind(identity.to_string())
                .fetch_optional(self.file.read())
                .await?;
        let Some((role, status, revision)) = row else { return Ok(None) };
        let (role, removed) = (parsed(&role, "members.role")?, status == "removed");
        Ok(Some(MemberRecord { role, removed, is_accounts_now: removed && revision == 0 }))
    }

    async fn slug_row(&self, slug: &str) -> Result<Option<TenantId>, Fault> {
        let row: Option<String> =
            sqlx::query_scalar("SELECT tenant_id FROM slugs WHERE slug = ? AND is_current")
                .bind(slug)
                .fetch_optional(self.file.read())
                .await?;
        row.map(|tenant| parsed(&tenant, "slugs.tenant_id")).transpose()
    }

    async fn tenant_rows(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<Tenant>, Fault> {
        let rows: Vec<TenantRow> = sqlx::query_as(
            "SELECT tenants.*, slug FROM tenants JOIN slugs USING (tenant_id)
             WHERE tenant_id > ?1 AND is_current AND deleted_at_us IS NULL AND (?2 IS NULL OR status = ?2)
                 AND (?3 IS NULL OR plan = ?3)
             ORDER BY tenant_id LIMIT ?4",
        )
        .bind(after.map_or("", TenantId::as_str))
        .bind(filter.status.map(TenantStatus::as_str))
        .bind(filter.plan.as_deref())
        .bind(limit)
        .fetch_all(self.file.read())
        .await?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    async fn cancellations_row(&self, tenant: &TenantId) -> Result<Option<Cancellations>, Fault> {
        let row: Option<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT cancelled_at_us, marked_at_us FROM tenants WHERE tenant_id = ?")
                .bind(tenant.as_str())
                .fetch_optional(self.file.read())
                .await?;
        let Some((all, marked)) = row else { return Ok(None) };
        let at = |us: Option<i64>, column| us.map(|us| moment(us, column)).transpose();
        let all_at = at(all, "tenants.cancelled_at_us")?;
        Ok(Some(Cancellations { all_at, marked_at: at(marked, "tenants.marked_at_us")? }))
    }

    async fn mark_row(
        &self,
        tenant: &TenantId,
        job: JobId,
    ) -> Result<Option<(JobMark, DateTime<Utc>)>, Fault> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT mark, marked_at_us FROM job_marks WHERE tenant_id = ? AND job_id = ?")
                .bind(tenant.as_str())
                .bind(job.to_string())
                .fetch_optional(self.file.read())
                .await?;
        let Some((mark, at)) = row else { return Ok(None) };
        let mark = JobMark::from_name(&mark).ok_or(Fault::Column("job_marks.mark"))?;
        Ok(Some((mark, moment(at, "job_marks.marked_at_us")?)))
    }

    async fn flow_upsert(&self, queue: &str, flow: Flow) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO queue_flows (queue, flow) VALUES (?1, ?2)
             ON CONFLICT (queue) DO UPDATE SET flow = excluded.flow",
        )
        .bind(queue)
        .bind(flow.as_str())
        .execute(self.file.write())
        .await?;
        Ok(())
    }

    async fn creator_row(&self, tenant: &TenantId, kb: &KbId, name: &str) -> Result<Option<String>, Fault> {
        let sql = "SELECT created_by FROM schedules WHERE tenant_id = ? AND kb_id = ? AND name = ?";
        let query = sqlx::query_scalar(sql).bind(tenant.as_str()).bind(kb.as_str()).bind(name);
        Ok(query.fetch_optional(self.file.read()).await?)
    }
}

#[derive(sqlx::FromRow)]
struct SecretRow {
    secret_sha256: String,
    previous_sha256: Option<String>,
    previous_until_us: Option<i64>,
    role: String,
    kb_id: Option<String>,
    permissions: Option<String>,
    expires_at_us: Option<i64>,
    revoked_at_us: Option<i64>,
}

impl TryFrom<SecretRow> for ApiKeyRecord {
    type Error = Fault;

    fn try_from(row: SecretRow) -> Result<Self, Fault> {
        let role: Role = parsed(&row.role, "api_keys.role")?;
        let at = |us: Option<i64>, column| us.map(|us| moment(us, column)).transpose();
        let permissions = allowed(role, row.permissions.as_deref());
        let until = at(row.previous_until_us, "api_keys.previous_until_us")?;
        Ok(Self {
            secret_sha256: row.secret_sha256,
            previous: row.previous_sha256.zip(until),
            role,
            kb_id: row.kb_id.map(|kb| parsed(&kb, "api_keys.kb_id")).transpose()?,
            permissions: permissions.map_err(|_| Fault::Column("api_keys.permissions"))?,
            expires_at: at(row.expires_at_us, "api_keys.expires_at_us")?,
            revoked_at: at(row.revoked_at_us, "api_keys.revoked_at_us")?,
        })
    }
}

#[async_trait::async_trait]
impl DirectoryRows for SqliteDirectory {
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>> {
        call("directory.tenant", CALL, self.tenant_row(tenant)).await
    }

    async fn cancellations(&self, tenant: &TenantId) -> StoreResult<Option<Cancellations>> {
        call("directory.cancellations", CALL, self.cancellations_row(tenant)).await
    }

    async fn job_mark(&self, tenant: &TenantId, job: JobId) -> StoreResult<Option<(JobMark, DateTime<Utc>)>> {
        call("directory.job_mark", CALL, self.mark_row(tenant, job)).await
    }

    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()> {
        call("directory.queue_flow_put", CALL, self.flow_upsert(queue, flow)).await
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

    async fn member(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Option<MemberRecord>> {
        call("directory.member", CALL, self.member_row(tenant, identity)).await
    }

    async fn schedule_creator(
        &self,
        tenant: &TenantId,
        kb: &KbId,
        name: &str,
    ) -> StoreResult<Option<String>> {
        call("directory.schedule_creator", CALL, self.creator_row(tenant, kb, name)).await
    }

    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<Tenant>> {
        call("directory.tenants", CALL, self.tenant_rows(filter, after, limit)).await
    }

    async fn ping(&self) -> StoreResult<()> {
        let ping = async {
            let _: i64 = sqlx::query_scalar("SELECT 1").fetch_one(self.file.read()).await?;
            Ok(())
        };
        call("directory.ping", CALL, ping).await
    }
}
