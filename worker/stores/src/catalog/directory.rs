//! The rows behind the directory, read uncached.

use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::queue::Flow;
use jobs::tenant::{ApiKeyId, Identity, KbId, Role, TenantId, TenantRecord, TenantStatus};

use super::kbs::{KB, read_kb};
use super::tenants::read_tenant;
use super::{Db, Read, Reader, Row, Sql, sql};
use crate::model::{ApiKeyRecord, Cancellations, JobMark, Kb, Tenant, TenantFilter, TenantPlan, allowed};
use crate::ports::StoreResult;

/// A membership row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) role: Role,
    /// The member was removed: the row stays, so that a token from before the removal cannot be used.
    pub(crate) removed: bool,
    /// The row is from before identities named their provider, and now belongs to the local account of that name.
    pub(crate) is_accounts_now: bool,
}

/// Reads the directory's rows, of every tenant.
#[derive(Clone)]
pub(crate) struct DirectoryRows {
    pub(super) db: Db,
}

impl DirectoryRows {
    pub(crate) const fn new(db: Db) -> Self {
        Self { db }
    }

    async fn optional<T>(
        &self,
        operation: &'static str,
        select: Sql<'_>,
        read: Read<T>,
    ) -> StoreResult<Option<T>> {
        self.db.reader(Reader::Directory).optional(operation, select, read).await
    }

    pub(crate) async fn tenant(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>> {
        let select = sql("select status, epoch from tenants where tenant_id = $1").bind(tenant.as_str());
        let read =
            |row: &Row| Ok(TenantRecord { status: row.parsed("status")?, epoch: row.number("epoch")? });
        self.optional("directory.tenant", select, read).await
    }

    /// When work of the tenant was last cancelled; `None` when the tenant is unknown.
    pub(crate) async fn cancellations(&self, tenant: &TenantId) -> StoreResult<Option<Cancellations>> {
        let select = sql("select cancelled_at, marked_at from tenants where tenant_id = $1");
        let read = |row: &Row| {
            let (all_at, marked_at) = (row.time_or_null("cancelled_at")?, row.time_or_null("marked_at")?);
            Ok(Cancellations { all_at, marked_at })
        };
        self.optional("directory.cancellations", select.bind(tenant.as_str()), read).await
    }

    /// The mark of a single job, and when it was set.
    pub(crate) async fn job_mark(
        &self,
        tenant: &TenantId,
        job: JobId,
    ) -> StoreResult<Option<(JobMark, DateTime<Utc>)>> {
        let select = sql("select mark, marked_at from job_marks where tenant_id = $1 and job_id = $2");
        self.optional("directory.job_mark", select.bind(tenant.as_str()).bind(job), read_mark).await
    }

    pub(crate) async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()> {
        let put = sql("insert into queue_flows (queue, flow) values ($1, $2)
             on conflict (queue) do update set flow = excluded.flow");
        let rows = self.db.reader(Reader::Identity);
        rows.execute("directory.queue_flow_put", put.bind(queue).bind(flow.as_str())).await.map(drop)
    }

    pub(crate) async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>> {
        let select = sql("select plan, limits from tenants where tenant_id = $1").bind(tenant.as_str());
        let read = |row: &Row| Ok(TenantPlan { plan: row.text("plan")?, limits: row.json("limits")? });
        self.optional("directory.plan", select, read).await
    }

    pub(crate) async fn kb(&self, tenant: &TenantId, kb: &KbId) -> StoreResult<Option<Kb>> {
        self.optional("directory.kb", sql(KB).bind(tenant.as_str()).bind(kb.as_str()), read_kb).await
    }

    pub(crate) async fn api_key(
        &self,
        tenant: &TenantId,
        key: &ApiKeyId,
    ) -> StoreResult<Option<ApiKeyRecord>> {
        let select = sql("select * from api_keys where tenant_id = $1 and key_id = $2");
        let select = select.bind(tenant.as_str()).bind(key.as_str());
        self.optional("directory.api_key", select, read_key).await
    }

    /// The tenant with this slug.
    pub(crate) async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>> {
        let select = sql("select tenant_id from slugs where slug = $1 and is_current").bind(slug);
        self.optional("directory.tenant_of_slug", select, |row| row.parsed("tenant_id")).await
    }

    /// The row of exactly this identity.
    pub(crate) async fn member(
        &self,
        tenant: &TenantId,
        identity: &Identity,
    ) -> StoreResult<Option<MemberRecord>> {
        let select = sql("select role, removed_at is not null as removed,
                 removed_at is not null and revision = 0 as is_accounts_now
             from members where tenant_id = $1 and identity = $2");
        let select = select.bind(tenant.as_str()).bind(identity.to_string());
        self.optional("directory.member", select, read_member).await
    }

    /// The creator of the schedule `name` of a knowledge base, as the text of a [`jobs::tenant::Actor`].
    pub(crate) async fn schedule_creator(
        &self,
        tenant: &TenantId,
        kb: &KbId,
        name: &str,
    ) -> StoreResult<Option<String>> {
        let select =
            sql("select created_by from schedules where tenant_id = $1 and kb_id = $2 and name = $3");
        let select = select.bind(tenant.as_str()).bind(kb.as_str()).bind(name);
        self.optional("directory.schedule_creator", select, |row| row.text("created_by")).await
    }

    /// Tenants by id, beginning after `after`. At most `limit`.
    pub(crate) async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Vec<Tenant>> {
        let select = sql("select tenants.*, slug from tenants join slugs using (tenant_id)
             where tenant_id > $1 and is_current and deleted_at is null and ($2 is null or status = $2)
             and ($3 is null or plan = $3) order by tenant_id limit $4");
        let select = select.bind(after.map_or("", TenantId::as_str));
        let select = select.bind(filter.status.map(TenantStatus::as_str)).bind(filter.plan.as_deref());
        let rows = self.db.reader(Reader::Directory);
        rows.all("directory.tenants", select.bind(limit), read_tenant).await
    }

    /// Whether the catalog answers.
    pub(crate) async fn ping(&self) -> StoreResult<()> {
        self.optional("directory.ping", sql("select 1 as answer"), |_| Ok(())).await.map(drop)
    }
}

fn read_mark(row: &Row) -> sqlx::Result<(JobMark, DateTime<Utc>)> {
    let mark = JobMark::from_name(&row.text("mark")?);
    let mark = mark.ok_or_else(|| sqlx::Error::Decode("job_marks.mark is none that there is".into()))?;
    Ok((mark, row.time("marked_at")?))
}

fn read_key(row: &Row) -> sqlx::Result<ApiKeyRecord> {
    let role: Role = row.parsed("role")?;
    Ok(ApiKeyRecord {
        secret_sha256: row.text("secret_sha256")?,
        previous: row.text_or_null("previous_sha256")?.zip(row.time_or_null("previous_until")?),
        role,
        kb_id: row.parsed_or_null("kb_id")?,
        permissions: allowed(role, row.text_or_null("permissions")?.as_deref())
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        expires_at: row.time_or_null("expires_at")?,
        revoked_at: row.time_or_null("revoked_at")?,
    })
}

fn read_member(row: &Row) -> sqlx::Result<MemberRecord> {
    Ok(MemberRecord {
        role: row.parsed("role")?,
        removed: row.flag("removed")?,
        is_accounts_now: row.flag("is_accounts_now")?,
    })
}
