//! What the tenant is called, and what the queue has to know of it.

use jobs::queue::Flow;
use jobs::tenant::TenantId;

use super::port::TenantCatalog;
use super::slug;
use crate::embedded::column::signed;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::flows;
use crate::model::{TenantChange, TenantSettings};

/// What became of it, and what the tenant was called before if it is called otherwise now.
pub(super) async fn put(
    catalog: &TenantCatalog,
    settings: &TenantSettings,
    revision: u64,
) -> Result<(TenantChange, Option<String>), Fault> {
    let limits = serde_json::to_string(&settings.limits)?;
    let mut tx = catalog.file.begin().await?;
    let done = sqlx::query(
        "UPDATE tenants SET name = ?, plan = ?, limits = ?, status = ?, revision = revision + 1
         WHERE tenant_id = ? AND revision = ?",
    )
    .bind(&settings.name)
    .bind(&settings.plan)
    .bind(limits)
    .bind(settings.status.as_str())
    .bind(catalog.tenant.as_str())
    .bind(signed(revision, "tenants.revision")?)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok((TenantChange::Stale, None));
    }
    let before = Some(slug::slug(&mut tx, catalog).await?).filter(|before| *before != settings.slug);
    if before.is_some() && !slug::put(&mut tx, catalog, &settings.slug).await? {
        return Ok((TenantChange::SlugTaken, None));
    }
    tx.commit().await?;
    Ok((TenantChange::Done, before))
}

pub(in crate::embedded) async fn applied(
    file: &SqliteFile,
    tenant: &TenantId,
    revision: u64,
) -> Result<bool, Fault> {
    let done = sqlx::query("UPDATE tenants SET applied_revision = ?2 WHERE tenant_id = ?1 AND revision = ?2")
        .bind(tenant.as_str())
        .bind(signed(revision, "tenants.revision")?)
        .execute(file.write())
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn flow_put(
    catalog: &TenantCatalog,
    queue: Option<&str>,
    flow: Flow,
) -> Result<bool, Fault> {
    let mut tx = catalog.file.begin().await?;
    let known: Option<String> =
        sqlx::query_scalar("SELECT flows FROM tenants WHERE tenant_id = ? AND deleted_at_us IS NULL")
            .bind(catalog.tenant.as_str())
            .fetch_optional(&mut *tx)
            .await?;
    let Some(known) = known else { return Ok(false) };
    let flows = flows::with(serde_json::from_str(&known)?, queue, flow);
    sqlx::query("UPDATE tenants SET flows = ?, revision = revision + 1 WHERE tenant_id = ?")
        .bind(serde_json::to_string(&flows)?)
        .bind(catalog.tenant.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
