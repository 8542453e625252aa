//! Work that was called off: its documents, and what the queue does not have yet.

use chrono::{DateTime, Utc};
use jobs::JobId;

use super::port::TenantCatalog;
use crate::embedded::column::micros;
use crate::embedded::fault::Fault;
use crate::model::{DocumentFault, JobMark};
use crate::retention::{HISTORY_KEPT, HISTORY_PRUNED};

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

pub(super) async fn outbox_clear(catalog: &TenantCatalog) -> Result<u64, Fault> {
    let done = sqlx::query("DELETE FROM outbox WHERE tenant_id = ?")
        .bind(catalog.tenant.as_str())
        .execute(catalog.file.write())
        .await?;
    Ok(done.rows_affected())
}

/// In one transaction: what is cancelled is cancelled wherever it is, whatever happens next.
pub(super) async fn everything(
    catalog: &TenantCatalog,
    fault: &DocumentFault,
    now: DateTime<Utc>,
) -> Result<u64, Fault> {
    let tenant = catalog.tenant.as_str();
    let mut tx = catalog.file.begin().await?;
    sqlx::query(
        "UPDATE tenants SET cancelled_at_us = max(coalesce(cancelled_at_us, 0), ?) WHERE tenant_id = ?",
    )
    .bind(micros(now))
    .bind(tenant)
    .execute(&mut *tx)
    .await?;
    // Everything that was said about single jobs before is said of all of them now.
    sqlx::query("DELETE FROM job_marks WHERE tenant_id = ? AND marked_at_us < ?")
        .bind(tenant)
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
    let undelivered =
        sqlx::query("DELETE FROM outbox WHERE tenant_id = ?").bind(tenant).execute(&mut *tx).await?;
    sqlx::query(
        "UPDATE documents SET status = 'failed', updated_at_us = ?1, fault_code = ?2, fault_detail = ?3
         WHERE tenant_id = ?4 AND status IN ('pending', 'processing') AND updated_at_us <= ?1",
    )
    .bind(micros(now))
    .bind(&fault.code)
    .bind(&fault.detail)
    .bind(tenant)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(undelivered.rows_affected())
}

pub(super) async fn mark(
    catalog: &TenantCatalog,
    jobs: &[JobId],
    mark: JobMark,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let tenant = catalog.tenant.as_str();
    let mut tx = catalog.file.begin().await?;
    for job in jobs {
        sqlx::query(
            "INSERT INTO job_marks (tenant_id, job_id, mark, marked_at_us) VALUES (?, ?, ?, ?)
             ON CONFLICT (tenant_id, job_id) DO UPDATE SET mark = excluded.mark, marked_at_us = excluded.marked_at_us",
        )
        .bind(tenant)
        .bind(job.to_string())
        .bind(mark.as_str())
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("UPDATE tenants SET marked_at_us = max(coalesce(marked_at_us, 0), ?) WHERE tenant_id = ?")
        .bind(micros(now))
        .bind(tenant)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "DELETE FROM job_marks WHERE tenant_id = ?1 AND job_id IN (
             SELECT job_id FROM job_marks WHERE tenant_id = ?1 AND marked_at_us < ?2 LIMIT ?3)",
    )
    .bind(tenant)
    .bind(micros(now - HISTORY_KEPT))
    .bind(HISTORY_PRUNED)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn unmark(catalog: &TenantCatalog, jobs: &[JobId]) -> Result<(), Fault> {
    let mut tx = catalog.file.begin().await?;
    for job in jobs {
        sqlx::query("DELETE FROM job_marks WHERE tenant_id = ? AND job_id = ?")
            .bind(catalog.tenant.as_str())
            .bind(job.to_string())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}
