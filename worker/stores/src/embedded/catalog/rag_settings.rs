//! How the tenant wants its documents read.

use super::port::TenantCatalog;
use crate::embedded::column::{signed, unsigned};
use crate::embedded::fault::Fault;
use crate::model::RagSettings;

pub(super) async fn get(catalog: &TenantCatalog) -> Result<Option<(RagSettings, u64)>, Fault> {
    let row: Option<(String, i64)> =
        sqlx::query_as("SELECT rag_settings, rag_revision FROM tenants WHERE tenant_id = ?")
            .bind(catalog.tenant.as_str())
            .fetch_optional(catalog.file.read())
            .await?;
    let Some((settings, revision)) = row else { return Ok(None) };
    Ok(Some((serde_json::from_str(&settings)?, unsigned(revision, "tenants.rag_revision")?)))
}

pub(super) async fn put(
    catalog: &TenantCatalog,
    settings: &RagSettings,
    revision: u64,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "UPDATE tenants SET rag_settings = ?, rag_revision = rag_revision + 1
         WHERE tenant_id = ? AND rag_revision = ?",
    )
    .bind(serde_json::to_string(settings)?)
    .bind(catalog.tenant.as_str())
    .bind(signed(revision, "tenants.rag_revision")?)
    .execute(catalog.file.write())
    .await?;
    Ok(done.rows_affected() == 1)
}
