//! Work that was called off: its documents, and what the queue does not have yet.

use chrono::{DateTime, Utc};
use jobs::JobId;

use super::port::TenantCatalog;
use crate::embedded::column::micros;
use crate::embedded::fault::Fault;
use crate::model::DocumentFault;

pub(super) async fn documents_failed(
    catalog: &TenantCatalog,
    jobs: &[JobId],
    fault: &DocumentFault,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let mut tx = catalog.file.begin().await?;
    let mut failed = 0;
    for job in jobs {
        let done = sqlx::query(
            "UPDATE documents SET status = 'failed', updated_at_us = ?, fault_code = ?, fault_detail = ?
             WHERE tenant_id = ? AND job_id = ? AND status IN ('pending', 'processing')",
        )
        .bind(micros(now))
        .bind(&fault.code)
        .bind(&fault.detail)
        .bind(catalog.tenant.as_str())
        .bind(job.to_string())
        .execute(&mut *tx)
        .await?;
        failed += done.rows_affected();
    }
    tx.commit().await?;
    Ok(failed)
}

pub(super) async fn documents_all_failed(
    catalog: &TenantCatalog,
    last: DateTime<Utc>,
    fault: &DocumentFault,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let done = sqlx::query(
        "UPDATE documents SET status = 'failed', updated_at_us = ?, fault_code = ?, fault_detail = ?
         WHERE tenant_id = ? AND status IN ('pending', 'processing') AND updated_at_us <= ?",
    )
    .bind(micros(now))
    .bind(&fault.code)
    .bind(&fault.detail)
    .bind(catalog.tenant.as_str())
    .bind(micros(last))
    .execute(catalog.file.write())
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn outbox_clear(catalog: &TenantCatalog) -> Result<u64, Fault> {
    let done = sqlx::query("DELETE FROM outbox WHERE tenant_id = ?")
        .bind(catalog.tenant.as_str())
        .execute(catalog.file.write())
        .await?;
    Ok(done.rows_affected())
}
