//! What the queue has to know of the tenant.

use jobs::tenant::TenantId;

use super::port::TenantCatalog;
use crate::embedded::column::signed;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::TenantSettings;

pub(super) async fn put(
    catalog: &TenantCatalog,
    settings: &TenantSettings,
    revision: u64,
) -> Result<bool, Fault> {
    let limits = serde_json::to_string(&settings.limits)?;
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
    .execute(catalog.file.write())
    .await?;
    catalog.news.tenant_changed(&catalog.tenant).await;
    Ok(done.rows_affected() == 1)
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
