//! The tenant's own row: settings, slug, status and deletion.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jobs::queue::Flow;
use jobs::tenant::TenantStatus;

use super::{Catalog, Reader, Row, Tx};
use crate::error::StoreError;
use crate::model::{NewTenant, RagSettings, Tenant, TenantChange, TenantSettings};
use crate::ports::StoreResult;

/// Reads a row of `tenants` with the tenant's slug.
pub(super) fn read_tenant(row: &Row) -> sqlx::Result<Tenant> {
    Ok(Tenant {
        id: row.parsed("tenant_id")?,
        name: row.text("name")?,
        slug: row.text("slug")?,
        plan: row.text("plan")?,
        status: row.parsed("status")?,
        epoch: row.number("epoch")?,
        limits: row.json("limits")?,
        flows: row.json("flows")?,
        description: row.text("description")?,
        metadata: row.json("metadata")?,
        revision: row.number("revision")?,
        created_at: row.time("created_at")?,
        created_by: row.text_or_null("created_by")?,
        updated_at: row.time_or_null("updated_at")?.map_or_else(|| row.time("created_at"), Ok)?,
    })
}

impl Catalog {
    /// The tenant; `None` when it is gone.
    pub async fn tenant(&self) -> StoreResult<Option<Tenant>> {
        self.tenant_as("catalog.tenant").await
    }

    pub(super) async fn tenant_as(&self, operation: &'static str) -> StoreResult<Option<Tenant>> {
        let select = self.sql(
            "select tenants.*, slug from tenants join slugs using (tenant_id)
             where tenant_id = $1 and is_current and deleted_at is null",
        );
        self.rows.optional(operation, select, read_tenant).await
    }

    /// Inserts the tenant. Returns whether it is new.
    pub(super) async fn tenant_insert(
        &self,
        tx: &mut Tx,
        new: &NewTenant,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let insert = self.sql(
            "insert into tenants (tenant_id, name, plan, status, epoch, created_at, description, metadata, created_by)
             values ($1, $2, $3, $4, 0, $5, $6, $7, $8) on conflict (tenant_id) do nothing",
        );
        let metadata = json(tx.operation(), &new.metadata)?;
        let insert = insert.bind(&new.name).bind(&new.plan).bind(TenantStatus::Provisioning.as_str());
        let insert = insert.bind(now).bind(&new.description).bind(metadata).bind(new.created_by.as_deref());
        Ok(tx.execute(insert).await? == 1)
    }

    /// Changes the status from `from` to `to`. Returns whether the status was `from`.
    pub async fn tenant_status_move(&self, from: TenantStatus, to: TenantStatus) -> StoreResult<bool> {
        let update = self.sql(
            "update tenants set status = $3, updated_at = $4, revision = revision + 1
             where tenant_id = $1 and status = $2",
        );
        let update = update.bind(from.as_str()).bind(to.as_str()).bind(self.clock.now());
        let moved = self.rows.execute("catalog.tenant_status_move", update).await? == 1;
        if moved { Ok(self.announced(moved).await) } else { Ok(moved) }
    }

    /// Replaces the settings of the tenant if `revision` is still current.
    pub async fn tenant_settings_put(
        &self,
        settings: &TenantSettings,
        revision: u64,
    ) -> StoreResult<TenantChange> {
        let (change, slug_before) = self.settings_put(settings, revision).await?;
        self.invalidation.tenant_put(&self.tenant, slug_before.as_deref(), &settings.slug).await;
        Ok(change)
    }

    /// The outcome, and the previous slug if it changed.
    async fn settings_put(
        &self,
        settings: &TenantSettings,
        revision: u64,
    ) -> StoreResult<(TenantChange, Option<String>)> {
        let mut tx = self.rows.write("catalog.tenant_settings_put").await?;
        let update = self.sql(
            "update tenants set plan = $3, limits = $4, status = $5, name = $6, description = $7, metadata = $8,
                 updated_at = $9, revision = revision + 1
             where tenant_id = $1 and revision = $2",
        );
        let limits = json(tx.operation(), &settings.limits)?;
        let metadata = json(tx.operation(), &settings.metadata)?;
        let update = update.bind(revision).bind(&settings.plan).bind(limits).bind(settings.status.as_str());
        let update = update.bind(&settings.name).bind(&settings.description).bind(metadata);
        if tx.execute(update.bind(self.clock.now())).await? == 0 {
            return Ok((TenantChange::Stale, None));
        }
        let slug = self.sql("select slug from slugs where tenant_id = $1 and is_current");
        let before = tx.optional(slug, |row| row.text("slug")).await?;
        let before = before.filter(|before| *before != settings.slug);
        if before.is_some() && !self.slug_put(&mut tx, &settings.slug).await? {
            return Ok((TenantChange::SlugTaken, None));
        }
        tx.commit().await?;
        Ok((TenantChange::Done, before))
    }

    /// Changes the slug. Returns whether it was free. The tenant's id stays reserved as a slug of its own.
    async fn slug_put(&self, tx: &mut Tx, slug: &str) -> StoreResult<bool> {
        tx.execute(self.sql("delete from slugs where tenant_id = $1 and slug <> $1")).await?;
        let choose = self.sql("update slugs set is_current = (slug = $2) where tenant_id = $1");
        tx.execute(choose.bind(slug)).await?;
        if slug == self.tenant.as_str() { Ok(true) } else { self.slug_insert(tx, slug).await }
    }

    /// Inserts a slug. Returns whether it was free. Tries the insert instead of looking, because row level security
    /// hides the rows of other tenants.
    pub(super) async fn slug_insert(&self, tx: &mut Tx, slug: &str) -> StoreResult<bool> {
        let insert = self.sql(
            "insert into slugs (tenant_id, slug, is_current) values ($1, $2, true) on conflict do nothing",
        );
        Ok(tx.execute(insert.bind(slug)).await? == 1)
    }

    /// Records that the queue has the settings of `revision`. Returns whether they are still current; if not,
    /// nothing changes.
    pub async fn tenant_settings_applied(&self, revision: u64) -> StoreResult<bool> {
        let update =
            self.sql("update tenants set applied_revision = $2 where tenant_id = $1 and revision = $2");
        Ok(self.rows.execute("catalog.tenant_settings_applied", update.bind(revision)).await? == 1)
    }

    /// The settings for reading documents and answering questions, and their revision; `None` when the tenant is
    /// gone.
    pub async fn rag_settings(&self) -> StoreResult<Option<(RagSettings, u64)>> {
        let select = self.sql("select rag_settings, rag_revision from tenants where tenant_id = $1");
        let read = |row: &Row| Ok((row.json("rag_settings")?, row.number("rag_revision")?));
        self.rows.optional("catalog.rag_settings", select, read).await
    }

    /// Replaces these settings if `revision` is still current. Returns whether it was.
    pub async fn rag_settings_put(&self, settings: &RagSettings, revision: u64) -> StoreResult<bool> {
        const PUT: &str = "catalog.rag_settings_put";
        let update = self.sql(
            "update tenants set rag_settings = $3, rag_revision = rag_revision + 1
             where tenant_id = $1 and rag_revision = $2",
        );
        let update = update.bind(revision).bind(json(PUT, settings)?);
        Ok(self.rows.execute(PUT, update).await? == 1)
    }

    /// Pauses or resumes the tenant's jobs of `queue`, or of all queues. Returns whether the tenant exists.
    pub async fn flow_put(&self, queue: Option<&str>, flow: Flow) -> StoreResult<bool> {
        let mut tx = self.rows.write("catalog.flow_put").await?;
        let select = self
            .sql("select flows from tenants where tenant_id = $1 and deleted_at is null {for no key update}");
        let known: Option<BTreeMap<String, Flow>> = tx.optional(select, |row| row.json("flows")).await?;
        let Some(known) = known else { return Ok(false) };
        let flows = json(tx.operation(), &flows_with(known, queue, flow))?;
        let update = self.sql("update tenants set flows = $2, revision = revision + 1 where tenant_id = $1");
        tx.execute(update.bind(flows)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Closes the tenant for good. Returns its new epoch; `None` when it is gone.
    pub(super) async fn tenant_close(&self, operation: &'static str) -> StoreResult<Option<u64>> {
        let mut tx = self.rows.write(operation).await?;
        let update = self.sql(
            "update tenants set status = 'deprovisioning', epoch = epoch + 1, revision = revision + 1
             where tenant_id = $1 and deleted_at is null returning epoch",
        );
        let epoch = tx.optional(update, |row| row.number("epoch")).await?;
        tx.commit().await?;
        Ok(self.announced(epoch).await)
    }

    /// Removes every row of a closed tenant and turns its own into a tombstone. Returns whether it was closed and
    /// not yet deleted.
    pub(super) async fn tenant_delete(
        &self,
        operation: &'static str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let tenant = self.tenant_as(operation).await?;
        let mut tx = self.rows.write_bulk(operation).await?;
        let bury = self.sql(
            "update tenants set name = '', plan = '', limits = '{}', rag_settings = '{}', description = '',
                 metadata = '{}', created_by = null, applied_revision = revision, deleted_at = $2
             where tenant_id = $1 and status = 'deprovisioning' and deleted_at is null",
        );
        let gone = tx.execute(bury.bind(now)).await? == 1;
        if gone {
            tx.tenant_rows_delete(&self.tenant).await?;
            // Log-ins to the tenant. PostgreSQL does not count them among the tenant's tables.
            tx.become_reader(Some(Reader::Identity)).await?;
            tx.execute(self.sql("delete from sessions where tenant_id = $1")).await?;
            tx.become_reader(None).await?;
            tx.leave_no_traces().await?;
            tx.commit().await?;
            self.invalidation.slugs().changed(tenant.as_ref().map(|tenant| tenant.slug.as_str()), None).await;
        }
        Ok(self.announced(gone).await)
    }
}

/// Number of resumed queues that are remembered.
const OPEN_MAX: usize = 100;

/// `flows` after one more decision, about `queue` or about all queues. A resumed queue is remembered as well,
/// because the queue's copy may still say that it is paused.
fn flows_with(mut flows: BTreeMap<String, Flow>, queue: Option<&str>, flow: Flow) -> BTreeMap<String, Flow> {
    if flows.len() > OPEN_MAX {
        flows.retain(|_, flow| *flow != Flow::Open);
    }
    flows.insert(queue.unwrap_or_default().to_owned(), flow);
    flows
}

/// Serialises a value for a JSON column.
fn json(operation: &'static str, value: &impl serde::Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::permanent(operation, error))
}
