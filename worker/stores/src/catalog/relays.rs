//! What the catalog has for the queue: accepted jobs, and the settings of tenants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::queue::{Flow, UniqueConflict};
use jobs::tenant::TenantId;
use uuid::Uuid;

use super::tenants::read_tenant;
use super::{Catalogs, Reader, Row, Sql, Value, sql};
use crate::model::Tenant;
use crate::ports::StoreResult;

/// An accepted job that the queue may not have yet. The bytes grant no access: the relay only passes them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The job's tenant.
    pub tenant_id: TenantId,
    /// The job's id.
    pub job_id: JobId,
    /// The signed envelope.
    pub wire: String,
    /// When it was accepted.
    pub accepted_at: DateTime<Utc>,
}

fn read_outbox(row: &Row) -> sqlx::Result<OutboxRow> {
    Ok(OutboxRow {
        tenant_id: row.parsed("tenant_id")?,
        job_id: row.parsed("job_id")?,
        wire: row.text("wire")?,
        accepted_at: row.time("created_at")?,
    })
}

/// Reads and removes every tenant's outbox rows, notes which of their jobs another one does, and has access to nothing
/// else.
pub struct OutboxRelay {
    catalogs: Catalogs,
}

impl OutboxRelay {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    /// Rows that are at least `age` old, oldest first, beginning after `after`, which may be gone. At most `limit`.
    pub async fn outbox_due(
        &self,
        now: DateTime<Utc>,
        age: Duration,
        after: Option<&OutboxRow>,
        limit: u32,
    ) -> StoreResult<Vec<OutboxRow>> {
        let before = now - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let select = sql(
            "select tenant_id, job_id, wire, created_at from outbox
             where (created_at, job_id) > ($1, $2) and created_at <= $3 order by created_at, job_id limit $4",
        );
        let select = match after {
            Some(row) => select.bind(row.accepted_at).bind(row.job_id),
            None => select.bind(DateTime::UNIX_EPOCH).bind(Uuid::nil()),
        };
        let rows = self.catalogs.db.reader(Reader::Relay);
        rows.all("outbox.outbox_due", select.bind(before).bind(limit), read_outbox).await
    }

    /// Removes rows because the queue has the jobs, which are expected there from then on.
    pub async fn outbox_done(&self, rows: &[OutboxRow], now: DateTime<Utc>) -> StoreResult<()> {
        let keep = sql("insert into unfinished_jobs (tenant_id, job_id, wire, placed_at)
             select tenant_id, job_id, wire, $2 from outbox where (tenant_id, job_id) in (
                 select tenant_id, job_id from {rows $1 as done (tenant_id text, job_id uuid)})
             on conflict (tenant_id, job_id) do nothing");
        let delete = sql("delete from outbox where (tenant_id, job_id) in (
                 select tenant_id, job_id from {rows $1 as done (tenant_id text, job_id uuid)})");
        let done = || {
            rows.iter().map(|row| {
                [("tenant_id", Value::from(row.tenant_id.as_str())), ("job_id", Value::from(row.job_id))]
            })
        };
        let mut tx = self.catalogs.db.reader(Reader::Relay).write("outbox.outbox_done").await?;
        tx.execute_all(vec![keep.bind_rows(done()).bind(now), delete.bind_rows(done())]).await?;
        tx.commit().await
    }

    /// As [`Catalog::history_same_work`](super::Catalog::history_same_work), for jobs of any tenants. To be called
    /// after their rows were removed.
    pub async fn same_work(
        &self,
        jobs: &[StampedJob],
        conflicts: &[UniqueConflict],
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let concerned = |job: &&StampedJob| conflicts.iter().any(|conflict| conflict.id == job.id());
        let tenants: BTreeSet<_> = jobs.iter().filter(concerned).map(StampedJob::tenant_id).collect();
        for tenant in tenants {
            self.catalogs.of(tenant).history_same_work(jobs, conflicts, now).await?;
        }
        Ok(())
    }

    /// Moves a row that the queue would never accept to the rejected jobs, with the reason, for an operator to look
    /// at.
    pub async fn outbox_reject(&self, row: &OutboxRow, reason: &str, now: DateTime<Utc>) -> StoreResult<()> {
        let mut tx = self.catalogs.db.reader(Reader::Relay).write("outbox.outbox_reject").await?;
        let keep = sql("insert into outbox_rejected (tenant_id, job_id, wire, reason, rejected_at)
             values ($1, $2, $3, $4, $5) on conflict do nothing");
        let keep = keep.bind(row.tenant_id.as_str()).bind(row.job_id).bind(&row.wire);
        tx.execute(keep.bind(reason).bind(now)).await?;
        let delete = sql("delete from outbox where tenant_id = $1 and job_id = $2");
        tx.execute(delete.bind(row.tenant_id.as_str()).bind(row.job_id)).await?;
        tx.commit().await
    }
}

/// Reads the settings of every tenant that the queue needs, and has access to nothing else.
pub struct SettingsRelay {
    catalogs: Catalogs,
}

impl SettingsRelay {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    async fn all(&self, operation: &'static str, select: Sql<'_>) -> StoreResult<Vec<Tenant>> {
        self.catalogs.db.reader(Reader::Directory).all(operation, select, read_tenant).await
    }

    /// Tenants whose settings changed and are not in the queue yet, by id. At most `limit`.
    pub async fn settings_unapplied(&self, limit: u32) -> StoreResult<Vec<Tenant>> {
        let select = sql("select tenants.*, slug from tenants join slugs using (tenant_id)
             where is_current and applied_revision < revision order by tenant_id limit $1");
        self.all("settings.settings_unapplied", select.bind(limit)).await
    }

    /// All tenants, by id, beginning after `after`. At most `limit`.
    pub async fn settings_all(&self, after: Option<&TenantId>, limit: u32) -> StoreResult<Vec<Tenant>> {
        let select = sql("select tenants.*, slug from tenants join slugs using (tenant_id)
             where tenant_id > $1 and is_current and deleted_at is null order by tenant_id limit $2");
        self.all("settings.settings_all", select.bind(after.map_or("", TenantId::as_str)).bind(limit)).await
    }

    /// Those of `tenants` that exist.
    pub async fn settings_of(&self, tenants: &[TenantId]) -> StoreResult<Vec<Tenant>> {
        let select = sql("select tenants.*, slug from tenants join slugs using (tenant_id)
             where tenant_id {in $1} and is_current and deleted_at is null");
        self.all("settings.settings_of", select.bind_list(tenants)).await
    }

    /// The flow setting of each queue, for all tenants.
    pub async fn queue_flows(&self) -> StoreResult<BTreeMap<String, Flow>> {
        let rows = self.catalogs.db.reader(Reader::Identity);
        let select = sql("select queue, flow from queue_flows");
        Ok(rows.all("settings.queue_flows", select, read_flow).await?.into_iter().collect())
    }

    /// Records that the queue has these settings. Returns whether they are still current; if not, nothing changes.
    pub async fn settings_applied(&self, tenant: &Tenant) -> StoreResult<bool> {
        self.catalogs.of(&tenant.id).tenant_settings_applied(tenant.revision).await
    }
}

fn read_flow(row: &Row) -> sqlx::Result<(String, Flow)> {
    let flow = Flow::from_name(&row.text("flow")?);
    let flow = flow.ok_or_else(|| sqlx::Error::Decode("queue_flows.flow is none that there is".into()))?;
    Ok((row.text("queue")?, flow))
}
