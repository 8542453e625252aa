//! The tenant and its knowledge bases.

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, KbId, Role, TenantStatus};
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use crate::embedded::column::{micros, moment, parsed, signed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::{Kb, NewTenant, Tenant, WorkspaceId};

/// The row of a tenant, all its columns selected.
#[derive(sqlx::FromRow)]
pub(in crate::embedded) struct TenantRow {
    tenant_id: String,
    name: String,
    slug: String,
    plan: String,
    status: String,
    epoch: i64,
    limits: String,
    flows: String,
    revision: i64,
    created_at_us: i64,
}

impl TryFrom<TenantRow> for Tenant {
    type Error = Fault;

    fn try_from(row: TenantRow) -> Result<Self, Fault> {
        Ok(Self {
            id: parsed(&row.tenant_id, "tenants.tenant_id")?,
            name: row.name,
            slug: row.slug,
            plan: row.plan,
            status: parsed(&row.status, "tenants.status")?,
            epoch: unsigned(row.epoch, "tenants.epoch")?,
            limits: serde_json::from_str(&row.limits)?,
            flows: serde_json::from_str(&row.flows)?,
            revision: unsigned(row.revision, "tenants.revision")?,
            created_at: moment(row.created_at_us, "tenants.created_at_us")?,
        })
    }
}

pub(super) async fn tenant(catalog: &TenantCatalog) -> Result<Option<Tenant>, Fault> {
    let row: Option<TenantRow> = sqlx::query_as(
        "SELECT tenants.*, slug FROM tenants JOIN slugs USING (tenant_id)
         WHERE tenant_id = ? AND is_current AND deleted_at_us IS NULL",
    )
    .bind(catalog.tenant.as_str())
    .fetch_optional(catalog.file.read())
    .await?;
    row.map(Tenant::try_from).transpose()
}

/// Makes the tenant. Returns whether it is new.
pub(super) async fn tenant_insert(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    new: &NewTenant,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "INSERT INTO tenants (tenant_id, name, plan, status, epoch, created_at_us)
         VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (tenant_id) DO NOTHING",
    )
    .bind(catalog.tenant.as_str())
    .bind(&new.name)
    .bind(&new.plan)
    .bind(TenantStatus::Provisioning.as_str())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a first member. Returns whether the person had not been one.
pub(super) async fn first_member_insert(
    tx: &mut SqliteConnection,
    catalog: &TenantCatalog,
    identity: &Identity,
    role: Role,
    now: DateTime<Utc>,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "INSERT INTO members (tenant_id, identity, role, status, created_at_us)
         VALUES (?, ?, ?, 'active', ?) ON CONFLICT (tenant_id, identity) DO NOTHING",
    )
    .bind(catalog.tenant.as_str())
    .bind(identity.to_string())
    .bind(role.as_str())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn tenant_status_move(
    catalog: &TenantCatalog,
    from: TenantStatus,
    to: TenantStatus,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE tenants SET status = ?, revision = revision + 1 WHERE tenant_id = ? AND status = ?",
    )
    .bind(to.as_str())
    .bind(catalog.tenant.as_str())
    .bind(from.as_str())
    .execute(catalog.file.write())
    .await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(done.rows_affected() == 1)
}

/// Selects the columns of [`KbRow`].
pub(in crate::embedded) const KB_SELECT: &str =
    "SELECT kb_id, name, workspace, revision, deleting_at_us IS NOT NULL AS is_closed, created_at_us FROM kbs
     WHERE tenant_id = ? AND kb_id = ?";

#[derive(sqlx::FromRow)]
pub(in crate::embedded) struct KbRow {
    kb_id: String,
    name: String,
    workspace: String,
    revision: i64,
    is_closed: bool,
    created_at_us: i64,
}

impl TryFrom<KbRow> for Kb {
    type Error = Fault;

    fn try_from(row: KbRow) -> Result<Self, Fault> {
        Ok(Self {
            id: parsed(&row.kb_id, "kbs.kb_id")?,
            name: row.name,
            workspace: parsed(&row.workspace, "kbs.workspace")?,
            revision: unsigned(row.revision, "kbs.revision")?,
            is_closed: row.is_closed,
            created_at: moment(row.created_at_us, "kbs.created_at_us")?,
        })
    }
}

pub(super) async fn kb_ensure(
    catalog: &TenantCatalog,
    id: &KbId,
    name: &str,
    workspace: &WorkspaceId,
    now: DateTime<Utc>,
) -> Result<Kb, Fault> {
    let mut tx = catalog.file.begin().await?;
    sqlx::query(
        "INSERT INTO kbs (tenant_id, kb_id, name, workspace, created_at_us)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant_id, kb_id) DO NOTHING",
    )
    .bind(catalog.tenant.as_str())
    .bind(id.as_str())
    .bind(name)
    .bind(workspace.as_str())
    .bind(micros(now))
    .execute(&mut *tx)
    .await?;
    let row: KbRow =
        sqlx::query_as(KB_SELECT).bind(catalog.tenant.as_str()).bind(id.as_str()).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    row.try_into()
}

/// A knowledge base, closed or not.
pub(super) async fn kb(catalog: &TenantCatalog, id: &KbId) -> Result<Option<Kb>, Fault> {
    let row: Option<KbRow> = sqlx::query_as(KB_SELECT)
        .bind(catalog.tenant.as_str())
        .bind(id.as_str())
        .fetch_optional(catalog.file.read())
        .await?;
    row.map(Kb::try_from).transpose()
}

pub(super) async fn kb_rename(
    catalog: &TenantCatalog,
    id: &KbId,
    name: &str,
    revision: u64,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE kbs SET name = ?, revision = revision + 1
         WHERE tenant_id = ? AND kb_id = ? AND revision = ? AND deleting_at_us IS NULL",
    )
    .bind(name)
    .bind(catalog.tenant.as_str())
    .bind(id.as_str())
    .bind(signed(revision, "kbs.revision")?)
    .execute(catalog.file.write())
    .await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn kbs(catalog: &TenantCatalog) -> Result<Vec<Kb>, Fault> {
    let rows: Vec<KbRow> = sqlx::query_as(
        "SELECT kb_id, name, workspace, revision, FALSE AS is_closed, created_at_us FROM kbs
         WHERE tenant_id = ? AND deleting_at_us IS NULL ORDER BY kb_id",
    )
    .bind(catalog.tenant.as_str())
    .fetch_all(catalog.file.read())
    .await?;
    rows.into_iter().map(Kb::try_from).collect()
}
