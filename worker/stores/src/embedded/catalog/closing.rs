//! The tenant's end.

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use sqlx::SqliteConnection;

use super::port::TenantCatalog;
use super::tenants::KbRow;
use crate::embedded::column::{micros, signed, unsigned};
use crate::embedded::fault::Fault;
use crate::embedded::scrub;
use crate::embedded::tenant_tables::tenant_rows_delete;
use crate::model::Kb;

/// Whether something may be accepted: of a closed tenant only what ends it, under the epoch `closed`.
pub(super) async fn may_accept(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    closed: Option<u64>,
) -> Result<bool, Fault> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT epoch FROM tenants WHERE tenant_id = ? AND status = 'deprovisioning'")
            .bind(tenant.as_str())
            .fetch_optional(tx)
            .await?;
    let closed = closed.map(|epoch| signed(epoch, "tenants.epoch")).transpose()?;
    Ok(found == closed)
}

pub(super) async fn close(catalog: &TenantCatalog) -> Result<Option<u64>, Fault> {
    let mut tx = catalog.file.begin().await?;
    let epoch: Option<i64> = sqlx::query_scalar(
        "UPDATE tenants SET status = 'deprovisioning', epoch = epoch + 1, revision = revision + 1
         WHERE tenant_id = ? AND deleted_at_us IS NULL RETURNING epoch",
    )
    .bind(catalog.tenant.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    epoch.map(|epoch| unsigned(epoch, "tenants.epoch")).transpose()
}

pub(super) async fn kbs(catalog: &TenantCatalog) -> Result<Vec<Kb>, Fault> {
    let rows: Vec<KbRow> = sqlx::query_as(
        "SELECT *, deleting_at_us IS NOT NULL AS is_closed FROM kbs WHERE tenant_id = ? ORDER BY kb_id",
    )
    .bind(catalog.tenant.as_str())
    .fetch_all(catalog.file.read())
    .await?;
    rows.into_iter().map(Kb::try_from).collect()
}

/// Which tables there are says the file, so that none is forgotten.
pub(super) async fn delete(catalog: &TenantCatalog, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut tx = catalog.file.begin().await?;
    let buried = sqlx::query(
        "UPDATE tenants SET name = '', plan = '', limits = '{}', rag_settings = '{}', applied_revision = revision, deleted_at_us = ?
         WHERE tenant_id = ? AND status = 'deprovisioning' AND deleted_at_us IS NULL",
    )
    .bind(micros(now))
    .bind(catalog.tenant.as_str())
    .execute(&mut *tx)
    .await?;
    if buried.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(false);
    }
    tenant_rows_delete(&mut tx, &catalog.tenant).await?;
    scrub::note(&mut tx).await?;
    tx.commit().await?;
    catalog.file.scrub_noted();
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(true)
}
