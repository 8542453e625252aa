//! The rows that the directory answers from, read as `tenantry_directory`.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, KbId, Role, TenantId, TenantRecord, TenantStatus};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog::read_tenant;
use super::pool::{Postgres, Reader};
use super::row::{KB, json, kb, number, parsed, parsed_optional, tenant_id};
use super::tx::{Read, Sql};
use crate::directory::{DirectoryRows, MemberRecord};
use crate::model::{ApiKeyRecord, Cancellations, JobMark, Kb, Tenant, TenantFilter, TenantPlan, allowed};
use crate::ports::StoreResult;

/// Reads who exists and who may do what.
pub(crate) struct PgDirectory {
    postgres: Postgres,
}

impl PgDirectory {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    async fn optional<T>(
        &self,
        operation: &'static str,
        sql: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<Option<T>> {
        let mut tx = self.postgres.reader_tx(Reader::Directory, operation).await?;
        let found = tx.optional(sql, read).await?;
        tx.commit().await?;
        Ok(found)
    }
}

#[async_trait::async_trait]
impl DirectoryRows for PgDirectory {
    async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>> {
        let sql = sqlx::query("select status, epoch from tenants where tenant_id = $1");
        self.optional("directory.tenant", sql.bind(tenant.as_str()), tenant_record).await
    }

    async fn cancellations(&self, tenant: &TenantId) -> StoreResult<Option<Cancellations>> {
        let sql = sqlx::query("select cancelled_at, marked_at from tenants where tenant_id = $1");
        self.optional("directory.cancellations", sql.bind(tenant.as_str()), |row| {
            Ok(Cancellations { all_at: row.try_get("cancelled_at")?, marked_at: row.try_get("marked_at")? })
        })
        .await
    }

    async fn job_mark(&self, tenant: &TenantId, job: JobId) -> StoreResult<Option<(JobMark, DateTime<Utc>)>> {
        let sql =
            sqlx::query("select mark, marked_at from job_marks where tenant_id = $1 and job_id = $2::uuid");
        self.optional("directory.job_mark", sql.bind(tenant.as_str()).bind(job.to_string()), job_mark).await
    }

    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()> {
        let sql = sqlx::query(
            "insert into tenantry.queue_flows (queue, flow) values ($1, $2) \
             on conflict (queue) do update set flow = excluded.flow",
        );
        let mut tx = self.postgres.reader_tx(Reader::Identity, "directory.queue_flow_put").await?;
        tx.execute(sql.bind(queue).bind(flow.as_str())).await?;
        tx.commit().await
    }

    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>> {
        let sql = sqlx::query("select plan, limits from tenants where tenant_id = $1");
        self.optional("directory.plan", sql.bind(tenant.as_str()), tenant_plan).await
    }

    async fn kb(&self, tenant: &TenantId, id: &KbId) -> StoreResult<Option<Kb>> {
        let sql = sqlx::query(KB);
        self.optional("directory.kb", sql.bind(tenant.as_str()).bind(id.as_str()), kb).await
    }

    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>> {
        let sql = sqlx::query("select * from api_keys where tenant_id = $1 and key_id = $2");
        self.optional("directory.api_key", sql.bind(tenant.as_str()).bind(key.as_str()), api_key).await
    }

    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>> {
        let sql = sqlx::query("select tenant_id from slugs where slug = $1 and is_current");
        self.optional("directory.tenant_of_slug", sql.bind(slug), tenant_id).await
    }

    async fn member(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Option<MemberRecord>> {
        let sql = sqlx::query(
            "select role, removed_at is not null as removed, \
                 removed_at is not null and revision = 0 as is_accounts_now \
             from members where tenant_id = $1 and identity = $2",
        );
        self.optional("directory.member", sql.bind(tenant.as_str()).bind(identity.to_string()), member).await
    }

    async fn schedule_creator(
        &self,
        tenant: &TenantId,
        kb: &KbId,
        name: &str,
    ) -> StoreResult<Option<String>> {
        let sql =
            sqlx::query("select created_by from schedules where tenant_id = $1 and kb_id = $2 and name = $3");
        let sql = sql.bind(tenant.as_str()).bind(kb.as_str()).bind(name);
        self.optional("directory.schedule_creator", sql, |row| row.try_get("created_by")).await
    }

    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<Tenant>> {
        let sql = sqlx::query(
            "select tenants.*, slug from tenants join slugs using (tenant_id) \
             where tenant_id > $1 and is_current and deleted_at is null and ($2::text is null or status = $2) \
             and ($3::text is null or plan = $3) order by tenant_id limit $4",
        );
        let sql = sql.bind(after.map_or("", TenantId::as_str)).bind(filter.status.map(TenantStatus::as_str));
        let sql = sql.bind(filter.plan.as_deref()).bind(i64::from(limit));
        let mut tx = self.postgres.reader_tx(Reader::Directory, "directory.tenants").await?;
        let tenants = tx.all(sql, read_tenant).await?;
        tx.commit().await?;
        Ok(tenants)
    }

    async fn ping(&self) -> StoreResult<()> {
        self.optional("directory.ping", sqlx::query("select 1"), |_| Ok(())).await.map(drop)
    }
}

fn tenant_record(row: &PgRow) -> sqlx::Result<TenantRecord> {
    Ok(TenantRecord { status: parsed(row, "status")?, epoch: number(row, "epoch")? })
}

fn job_mark(row: &PgRow) -> sqlx::Result<(JobMark, DateTime<Utc>)> {
    let mark: String = row.try_get("mark")?;
    let mark = JobMark::from_name(&mark);
    let mark = mark.ok_or_else(|| sqlx::Error::Decode("job_marks.mark is none that there is".into()))?;
    Ok((mark, row.try_get("marked_at")?))
}

fn tenant_plan(row: &PgRow) -> sqlx::Result<TenantPlan> {
    Ok(TenantPlan { plan: row.try_get("plan")?, limits: json(row, "limits")? })
}

fn api_key(row: &PgRow) -> sqlx::Result<ApiKeyRecord> {
    let role: Role = parsed(row, "role")?;
    let previous: Option<String> = row.try_get("previous_sha256")?;
    Ok(ApiKeyRecord {
        secret_sha256: row.try_get("secret_sha256")?,
        previous: previous.zip(row.try_get("previous_until")?),
        role,
        kb_id: parsed_optional(row, "kb_id")?,
        permissions: allowed(role, row.try_get("permissions")?)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

fn member(row: &PgRow) -> sqlx::Result<MemberRecord> {
    Ok(MemberRecord {
        role: parsed(row, "role")?,
        removed: row.try_get("removed")?,
        is_accounts_now: row.try_get("is_accounts_now")?,
    })
}
